"""vacuity: whether each fault met any load while it was in force, and on which side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jepsenvm.checkers.fault_intervals import fault_intervals, sides
from jepsenvm.checkers.fault_load import DEFAULT_ACKNOWLEDGEMENTS, acknowledged_ops, in_force
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.table import History, Ints


def vacuity(
    history: History, *, acknowledgements: Sequence[str] = DEFAULT_ACKNOWLEDGEMENTS
) -> Result:
    """Return unknown if no acknowledged operation began while a fault was in force; never invalid.

    A fault without load says nothing about the broker. A fault that is expected to stop the load
    is exempt. Both sides of a partition need not have load, since a minority should refuse to
    confirm; the figures count the acknowledged operations of each side.

    ``acknowledgements`` are the names of the operations that count as acknowledged when they are
    ok; the workload defines them.
    """
    began, nodes = acknowledged_ops(history, acknowledgements)
    reasons, figures = [], []
    for interval in fault_intervals(history):
        inside = in_force(began, interval)
        if interval.in_force is not None and not interval.stops_load and not inside.any():
            reasons.append(
                f"{interval.title} tested nothing: no operation that began while it was in force "
                "was acknowledged"
            )
        counts = [
            {"nodes": list(side), "acknowledged-count": _count(history, side, nodes[inside])}
            for side in sides(interval, history.nodes)
        ]
        figures.append({"window": interval.number, "sides": counts})
    verdict = Verdict.UNKNOWN if reasons else Verdict.VALID
    return Result(verdict, tuple(reasons), {"windows": figures})


def _count(history: History, side: Sequence[str], nodes: Ints) -> int:
    """Return how many of these node codes belong to nodes of a side."""
    codes = [code for code, name in enumerate(history.nodes) if name in side]
    return int(np.isin(nodes, codes).sum())
