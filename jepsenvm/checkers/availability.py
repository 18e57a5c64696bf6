"""availability: how long each node confirmed nothing, and how soon it did again; optionally, the limit of recovery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from jepsenvm.checkers.fault_intervals import FaultInterval, fault_intervals
from jepsenvm.checkers.latency import pairs
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.table import TYPE_CODES, History, Ints
from jepsenvm.history.units import SECOND

NOT_ASKED: Final = ("drain", "recover", "dequeue")
"""The f's that say nothing of what a node does for the load: they come after it, or without being asked for."""

GAP: Final = SECOND
"""Nanoseconds without any ok up to which a node is not called silent."""


@dataclass(frozen=True)
class _Oks:
    """The ok ops of one node, in the order of their completion."""

    invoked: Ints
    completed: Ints

    def gaps(self, begin: int, end: int) -> Ints:
        """Return how long nothing was ok, each time, between two moments that are no earlier and no later than all."""
        return np.diff(np.concatenate([[begin], self.completed, [end]]))

    def since(self, moment: int | None) -> float | None:
        """Return the seconds until the first ok of an op that was begun at that moment or later; None if none was."""
        if moment is None or not (self.invoked >= moment).any():
            return None
        return _seconds(int(self.completed[self.invoked >= moment].min()) - moment)


@dataclass(frozen=True)
class _Recovered:
    """The end of a run's recovery: when the cluster was seen whole, on the history's clock, and with what help."""

    at: int
    not_before: int
    """Until then it was seen in trouble; or nobody looked, and this is the last healing."""
    restarted: Sequence[str]
    troubles: Mapping[str, str]


def availability(history: History, *, within: float | None = None) -> Result:
    """Tell by node how long nothing was ok, and by fault how soon something was again; valid if there is no limit.

    All figures are seconds. ``within`` is the limit of the time from the last healing until the cluster was whole, by
    itself: longer, or with a node restarted, is invalid; unknown when nobody looked in time.
    """
    found = fault_intervals(history)
    oks, begin, end = _oks(history)
    healed = max((window.ended for window in found if window.ended is not None), default=None)
    recovered = _recovered(history, healed)
    figures = {
        "nodes": {node: _silence(one.gaps(begin, end)) for node, one in sorted(oks.items())},
        "windows": [
            {
                "window": window.number,
                "nodes": {
                    node: {
                        "in-force-to-ok-seconds": one.since(window.in_force),
                        "heal-to-ok-seconds": one.since(window.ended),
                    }
                    for node, one in sorted(oks.items())
                },
                "heal-to-recovered-seconds": _until_whole(window, found, recovered),
            }
            for window in found
        ],
        "restarted": list(recovered.restarted) if recovered else [],
    }
    if within is None or not found:
        return Result(Verdict.VALID, (), figures)
    unhealed = any(window.ended is None for window in found)
    return Result(*_judged(within, None if unhealed else healed, recovered), figures)


def _judged(
    within: float, healed: int | None, recovered: _Recovered | None
) -> tuple[Verdict, tuple[str, ...]]:
    in_time = f"recover by itself within {within:g} s of the last healing"
    if healed is None:
        return Verdict.UNKNOWN, (
            f"whether the cluster would {in_time} is not known: not every fault was healed",
        )
    if recovered is None:
        return Verdict.UNKNOWN, (
            f"whether the cluster would {in_time} is not known: the run ended before",
        )
    if recovered.restarted:
        return Verdict.INVALID, (
            f"the cluster did not {in_time}: {' '.join(recovered.restarted)} had to be restarted",
        )
    troubled, took = ((moment - healed) / SECOND for moment in (recovered.not_before, recovered.at))
    if took <= within and not recovered.troubles:
        return Verdict.VALID, ()
    if troubled > within:
        return Verdict.INVALID, (
            f"the cluster did not {in_time}: it was still in trouble after {troubled:.1f} s",
        )
    return Verdict.UNKNOWN, (
        f"whether the cluster did {in_time} is not known: the last look at it was {took:.1f} s after it",
    )


def _oks(history: History) -> tuple[dict[str, _Oks], int, int]:
    """Return the ok ops by node, for every node that had any op, and when the load's first began and its last ended."""
    parts: dict[int, list[tuple[Ints, Ints]]] = {}
    begins, ends = [], []
    for some in pairs(history):
        others = [code for code, name in enumerate(history.names) if name in NOT_ASKED]
        asked = ~np.isin(some.f, others)
        if not asked.any():
            continue
        begins.append(int(some.invoked[asked].min()))
        ends.append(int(some.completed[asked].max()))
        ok = asked & (some.type == TYPE_CODES["ok"])
        for code in np.unique(some.node[asked]):
            rows = ok & (some.node == code)
            parts.setdefault(int(code), []).append((some.invoked[rows], some.completed[rows]))
    oks = {
        history.nodes[code] if code >= 0 else "-": _in_order(mine) for code, mine in parts.items()
    }
    return oks, min(begins, default=0), max(ends, default=0)


def _in_order(parts: Sequence[tuple[Ints, Ints]]) -> _Oks:
    invoked, completed = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(completed, kind="stable")
    return _Oks(invoked[order], completed[order])


def _silence(gaps: Ints) -> dict[str, float]:
    return {
        "longest-gap-seconds": _seconds(int(gaps.max())),
        "without-ok-seconds": _seconds(int(gaps[gaps > GAP].sum())),
    }


def _recovered(history: History, healed: int | None) -> _Recovered | None:
    """Return what the last recovery on record came to."""
    records = [
        op for op in history.nemesis_ops() if op.f == "recover" and isinstance(op.data, dict)
    ]
    if not records:
        return None
    op, data = records[-1], records[-1].data
    # It looked for so many seconds until this record; trouble-seconds, if any, is until when it saw trouble in them.
    began, trouble = op.time - round(data["seconds"] * SECOND), data.get("trouble-seconds")
    not_before = (
        op.time
        if data["troubles"]
        else began + round(trouble * SECOND)
        if trouble is not None
        else healed
    )
    return _Recovered(op.time, not_before or 0, data["restarted"], data["troubles"])


def _until_whole(
    window: FaultInterval, found: Sequence[FaultInterval], recovered: _Recovered | None
) -> float | None:
    """Return the seconds from a healing until the cluster was seen whole; None where another fault ended later."""
    ended = window.ended
    if ended is None or recovered is None or recovered.troubles:
        return None
    if any(other.ended is None or other.ended > ended for other in found):
        return None
    return _seconds(recovered.at - ended)


def _seconds(nanoseconds: int) -> float:
    return round(nanoseconds / SECOND, 3)
