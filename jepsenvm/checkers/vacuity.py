"""vacuity: whether each fault met any load, before it or while it was in force, on which side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jepsenvm.checkers.fault_intervals import FaultInterval, fault_intervals, sides
from jepsenvm.checkers.fault_load import (
    DEFAULT_ACKNOWLEDGEMENTS,
    acknowledged_ops,
    in_force,
    left_at,
    was_acknowledged,
)
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.table import History, Ints
from jepsenvm.history.units import SECOND


def vacuity(
    history: History,
    *,
    acknowledgements: Sequence[str] = DEFAULT_ACKNOWLEDGEMENTS,
    leader_alone: bool = False,
) -> Result:
    """Return unknown for a fault that met no load; never invalid.

    A fault without load says nothing about the broker. Load is an acknowledged operation that
    began while the fault was in force. Both sides of a partition need not have load, since a
    minority should refuse to confirm; the figures count the acknowledged operations of each side.

    A fault that is expected to stop the load is exempt if something was acknowledged before it. A
    fault that stopped every replica of the run's queue is exempt if a message that was acknowledged
    before was still in the queue: it must have survived, and the drain shows whether it did.

    A fault that endangers what was acknowledged shortly before it needs such an operation too.

    ``acknowledgements`` are the names of the operations that count as acknowledged when they are
    ok; the workload defines them. ``leader_alone`` says that no other node may serve the run's
    queue while its leader is down.
    """
    began, nodes = acknowledged_ops(history, acknowledgements)
    reasons, figures = [], []
    for interval in fault_intervals(history):
        inside = in_force(began, interval)
        if interval.in_force is not None:
            load = _Load(history, acknowledgements, interval, met=bool(inside.any()))
            reasons += [
                f"{interval.title} tested nothing: {problem}"
                for problem in load.problems(leader_alone=leader_alone)
            ]
        counts = [
            {"nodes": list(side), "acknowledged-count": _count(history, side, nodes[inside])}
            for side in sides(interval, history.nodes)
        ]
        figures.append({"window": interval.number, "sides": counts})
    verdict = Verdict.UNKNOWN if reasons else Verdict.VALID
    return Result(verdict, tuple(reasons), {"windows": figures})


@dataclass(frozen=True)
class _Load:
    """The load before and under one fault that was in force."""

    history: History
    acknowledgements: Sequence[str]
    interval: FaultInterval
    met: bool
    """Whether an acknowledged operation began while the fault was in force."""

    def problems(self, *, leader_alone: bool) -> Iterator[str]:
        """Yield why the fault tested nothing."""
        interval = self.interval
        if not self.met:
            yield from self._without_load(leader_alone=leader_alone)
        if interval.endangers is None:
            return
        begin, end = interval.injected - interval.endangers, interval.in_force or 0
        if not was_acknowledged(self.history, self.acknowledgements, begin, end):
            seconds = f"{interval.endangers / SECOND:g} s"
            yield (
                f"no operation was acknowledged in the {seconds} before it, so there was nothing"
                " unsynced to lose"
            )

    def _without_load(self, *, leader_alone: bool) -> Iterator[str]:
        interval = self.interval
        if interval.stops_load:
            if not was_acknowledged(self.history, self.acknowledgements, 0, interval.injected):
                yield "it stopped all load, and no operation was acknowledged before it"
        elif not _stops_the_queue(interval, leader_alone=leader_alone):
            yield "no operation that began while it was in force was acknowledged"
        elif not left_at(self.history, self.acknowledgements, interval.injected):
            yield (
                "it stopped the only replica of the queue, and nothing that was acknowledged before"
                " was left in it"
            )


def _stops_the_queue(interval: FaultInterval, *, leader_alone: bool) -> bool:
    """Return whether the fault stopped every node that may serve the run's queue."""
    # A queue without replicas stays where it is, so it does not matter when its place was asked.
    leader = interval.leader_before or interval.leader
    replicas = {leader} if leader_alone and leader else set(interval.members_before)
    stopped = set(interval.fault.get("nodes", ()))
    return interval.stops_replicas and bool(replicas) and replicas <= stopped


def _count(history: History, side: Sequence[str], nodes: Ints) -> int:
    """Return how many of these node codes belong to nodes of a side."""
    codes = [code for code, name in enumerate(history.nodes) if name in side]
    return int(np.isin(nodes, codes).sum())
