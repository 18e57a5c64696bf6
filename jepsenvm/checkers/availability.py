"""availability: how long each node confirmed nothing, and how soon it did again after a fault.

Optionally, it judges how long the cluster took to recover by itself (plan key ``recover-within``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.fault_intervals import FaultInterval, fault_intervals
from jepsenvm.checkers.op_pairs import pairs
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.checkers.wording import listed
from jepsenvm.history.nemesis_records import RECOVER
from jepsenvm.history.table import TYPE_CODES, History, Ints
from jepsenvm.history.units import SECOND

DEFAULT_IGNORED: Final = ("drain", "recover", "dequeue")
"""Operations that say nothing about a node's availability for the load.

A drain and a recovery come after the load. A broker sends deliveries without being asked, so a node
without deliveries may just have nothing to deliver.
"""

GAP: Final = SECOND
"""Nanoseconds. A shorter time without any ok is not counted as silence."""


@dataclass(frozen=True)
class _OkOps:
    """The ok ops of one node, in the order of completion; times in nanoseconds."""

    invoked: Ints
    completed: Ints

    def gaps(self, begin: int, end: int) -> Ints:
        """Return the times between successive completions, from the load's begin to its end."""
        return np.diff(np.concatenate([[begin], self.completed, [end]]))

    def seconds_since(self, moment: int | None) -> float | None:
        """Return the seconds from a moment to the first ok of an op invoked at or after it.

        An op that was invoked earlier may have been served before the moment, so its ok does not
        show that the node serves now. Returns None if there is no such ok.
        """
        if moment is None or not (self.invoked >= moment).any():
            return None
        return _seconds(int(self.completed[self.invoked >= moment].min()) - moment)


@dataclass(frozen=True)
class _Recovery:
    """The end of the recovery after the last fault; times in nanoseconds since the run began."""

    observed: int
    """When the cluster was observed to be recovered, or observed for the last time."""
    not_before: int
    """The last time the cluster was observed in trouble, or the last healing if it never was."""
    restarted: Sequence[str]
    troubles: Mapping[str, str]


def availability(
    history: History, *, within: float | None = None, ignored: Sequence[str] = DEFAULT_IGNORED
) -> Result:
    """Return for each node how long nothing was ok, and for each fault when something was ok again.

    All figures are in seconds.

    ``within``   the longest time in seconds, from the last healing, in which the cluster has to
                 recover by itself. It is invalid if the cluster took longer or a node had to be
                 restarted, unknown if the cluster was not observed in time. Without it the result
                 is always valid.
    ``ignored``  the names of operations that say nothing about a node's availability.
    """
    intervals = fault_intervals(history)
    by_node, begin, end = _ok_ops(history, ignored)
    last_healing = max(
        (interval.ended for interval in intervals if interval.ended is not None), default=None
    )
    recovery = _last_recovery(history, last_healing)
    figures = {
        "nodes": {node: _silence(ok.gaps(begin, end)) for node, ok in sorted(by_node.items())},
        "windows": [
            {
                "window": interval.number,
                "nodes": _first_oks(interval, by_node),
                "heal-to-recovered-seconds": _heal_to_recovered(interval, intervals, recovery),
            }
            for interval in intervals
        ],
        "restarted": list(recovery.restarted) if recovery else [],
    }
    if within is None or not intervals:
        return Result(Verdict.VALID, (), figures)
    if any(interval.ended is None for interval in intervals):
        last_healing = None
    verdict, reasons = _judge_recovery(within, last_healing, recovery)
    return Result(verdict, reasons, figures)


def _judge_recovery(
    within: float, last_healing: int | None, recovery: _Recovery | None
) -> tuple[Verdict, tuple[str, ...]]:
    in_time = f"by itself within {within:g} s of the last healing"
    unknown = f"it is not known whether the cluster recovered {in_time}"
    invalid = f"the cluster did not recover {in_time}"
    if last_healing is None:
        return Verdict.UNKNOWN, (f"{unknown}: not every fault was healed",)
    if recovery is None:
        return Verdict.UNKNOWN, (f"{unknown}: the run ended before the recovery",)
    if recovery.restarted:
        return Verdict.INVALID, (f"{invalid}: {listed(recovery.restarted)} had to be restarted",)
    in_trouble = (recovery.not_before - last_healing) / SECOND
    took = (recovery.observed - last_healing) / SECOND
    if took <= within and not recovery.troubles:
        return Verdict.VALID, ()
    if in_trouble > within:
        return Verdict.INVALID, (f"{invalid}: it was still in trouble after {in_trouble:.1f} s",)
    # It recovered at an unknown moment between two observations, one before the limit and one
    # after it. Recovery is observed only when the load has ended.
    return Verdict.UNKNOWN, (
        f"{unknown}: the last observation of it was {took:.1f} s after the healing",
    )


def _ok_ops(history: History, ignored: Sequence[str]) -> tuple[dict[str, _OkOps], int, int]:
    """Return the ok ops of every node that had an op, and when the load began and ended."""
    parts: dict[int, list[tuple[Ints, Ints]]] = {}
    begins, ends = [], []
    for completed in pairs(history):
        ignored_codes = [code for code, name in enumerate(history.names) if name in ignored]
        of_load = ~np.isin(completed.f, ignored_codes)
        if not of_load.any():
            continue
        begins.append(int(completed.invoked[of_load].min()))
        ends.append(int(completed.completed[of_load].max()))
        ok = of_load & (completed.type == TYPE_CODES["ok"])
        for code in np.unique(completed.node[of_load]):
            rows = ok & (completed.node == code)
            times = (completed.invoked[rows], completed.completed[rows])
            parts.setdefault(int(code), []).append(times)
    by_node = {
        history.nodes[code] if code >= 0 else "-": _joined(node_parts)
        for code, node_parts in parts.items()
    }
    return by_node, min(begins, default=0), max(ends, default=0)


def _joined(parts: Sequence[tuple[Ints, Ints]]) -> _OkOps:
    invoked, completed = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(completed, kind="stable")
    return _OkOps(invoked[order], completed[order])


def _silence(gaps: Ints) -> dict[str, float]:
    return {
        "longest-gap-seconds": _seconds(int(gaps.max())),
        "without-ok-seconds": _seconds(int(gaps[gaps > GAP].sum())),
    }


def _first_oks(interval: FaultInterval, by_node: Mapping[str, _OkOps]) -> dict[str, Any]:
    return {
        node: {
            "in-force-to-ok-seconds": ok.seconds_since(interval.in_force),
            "heal-to-ok-seconds": ok.seconds_since(interval.ended),
        }
        for node, ok in sorted(by_node.items())
    }


def _last_recovery(history: History, last_healing: int | None) -> _Recovery | None:
    records = [op for op in history.nemesis_ops() if op.f == RECOVER and isinstance(op.data, dict)]
    if not records:
        return None
    record, data = records[-1], records[-1].data
    return _Recovery(
        observed=record.time,
        not_before=_last_trouble(record.time, data, last_healing) or 0,
        restarted=data["restarted"],
        troubles=data["troubles"],
    )


def _last_trouble(time: int, data: Mapping[str, Any], last_healing: int | None) -> int | None:
    """Return when the cluster was last observed in trouble, or the last healing if it never was.

    ``time`` is the record's time, at the end of ``seconds`` of observation. ``trouble-seconds`` is
    the part of them until the last observation of trouble; None or missing if there was none.
    """
    if data["troubles"]:
        return time
    trouble_seconds: float | None = data.get("trouble-seconds")
    if trouble_seconds is None:
        return last_healing
    seconds: float = data["seconds"]
    began = time - round(seconds * SECOND)
    return began + round(trouble_seconds * SECOND)


def _heal_to_recovered(
    interval: FaultInterval, intervals: Sequence[FaultInterval], recovery: _Recovery | None
) -> float | None:
    """Return the seconds from the last healing to the recovery; None for the other faults."""
    ended = interval.ended
    if ended is None or recovery is None or recovery.troubles:
        return None
    if any(other.ended is None or other.ended > ended for other in intervals):
        return None
    return _seconds(recovery.observed - ended)


def _seconds(nanoseconds: int) -> float:
    return round(nanoseconds / SECOND, 3)
