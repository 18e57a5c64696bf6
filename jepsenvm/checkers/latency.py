"""latency: how long ops took from their invocation to their ok, before, within and after each fault."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.fault_intervals import NEVER, FaultInterval, fault_intervals
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.table import TYPE_CODES, Chunk, History, Ints

QUANTILES: Final[Mapping[str, float]] = {
    "p50-ms": 0.5,
    "p95-ms": 0.95,
    "p99-ms": 0.99,
    "max-ms": 1.0,
}
"""Each is a latency that occurred: the smallest that so large a share of the ops did not exceed."""

_MS: Final = 1_000_000


@dataclass(frozen=True)
class Pairs:
    """Ops that were completed, in columns of one length; times in nanoseconds, f and node as the history's codes."""

    f: Ints
    node: Ints
    type: Ints
    """How it ended."""
    invoked: Ints
    completed: Ints


def pairs(history: History) -> Iterator[Pairs]:
    """Yield, chunk by chunk, the invocations with their completions; the nemesis' are left out.

    A process does one op at a time: its next row after an invocation is the completion, if it is of the same f.
    """
    waiting: Ints = np.empty((5, 0), dtype=np.int64)
    for chunk in history:
        rows = np.concatenate([waiting, _rows(chunk)], axis=1)
        if not rows.size:
            continue
        # A stable sort keeps a process' own rows in the order in which they were recorded.
        process, type_, f, node, time = rows = rows[:, np.argsort(rows[0], kind="stable")]
        invokes = type_ == TYPE_CODES["invoke"]
        goes_on = process[1:] == process[:-1]
        begun = np.flatnonzero(goes_on & invokes[:-1] & ~invokes[1:] & (f[1:] == f[:-1]))
        yield Pairs(f[begun], node[begun], type_[begun + 1], time[begun], time[begun + 1])
        waiting = rows[:, np.append(~goes_on, True) & invokes]


def _rows(chunk: Chunk) -> Ints:
    ours = chunk.process != NEMESIS
    columns = (chunk.process, chunk.type, chunk.f, chunk.node, chunk.time)
    return np.stack([column[ours].astype(np.int64) for column in columns])


def latency(history: History) -> Result:
    """Tell quantiles of the milliseconds from invoke to ok of each f; it judges nothing and is always valid.

    An op is within every fault that was there at any moment of it, from the injection until it was seen healed; before
    and after are the ops of the quiet stretches on either side, which touch no fault at all.
    """
    found = sorted(fault_intervals(history), key=lambda window: window.injected)
    took: dict[str, dict[Any, list[Ints]]] = defaultdict(lambda: defaultdict(list))
    for some in pairs(history):
        ok = some.type == TYPE_CODES["ok"]
        stretches = dict(_stretches(some, found))
        for code in np.unique(some.f[ok]):
            of_f = ok & (some.f == code)
            for stretch, rows in stretches.items():
                took[history.names[code]][stretch].append(
                    (some.completed - some.invoked)[of_f & rows]
                )
    by_f = {f: _figures(parts, found) for f, parts in sorted(took.items())}
    return Result(Verdict.VALID, (), {"by-f": by_f})


def _stretches(some: Pairs, found: Sequence[FaultInterval]) -> Iterator[tuple[Any, Any]]:
    """Yield names of stretches of time, and which ops are theirs: all, within a window, or so many windows later."""
    quiet = np.ones(len(some.f), dtype=bool)
    yield "all", quiet.copy()
    for window in found:
        healed = NEVER if window.healed is None else window.healed
        within = (some.completed >= window.injected) & (some.invoked < healed)
        quiet &= ~within
        yield ("within", window.number), within
    after = np.searchsorted([window.injected for window in found], some.invoked, side="right")
    for count in range(len(found) + 1):
        yield ("quiet", count), quiet & (after == count)


def _figures(parts: Mapping[Any, Sequence[Ints]], found: Sequence[FaultInterval]) -> dict[str, Any]:
    around = [
        {
            "window": window.number,
            "before": _quantiles(parts["quiet", place]),
            "within": _quantiles(parts["within", window.number]),
            "after": _quantiles(parts["quiet", place + 1]),
        }
        for place, window in enumerate(found)
    ]
    return {"all": _quantiles(parts["all"]), "windows": around}


def _quantiles(parts: Sequence[Ints]) -> dict[str, float]:
    took = np.concatenate(parts)
    if not len(took):
        return {"count": 0}
    found = np.quantile(took, list(QUANTILES.values()), method="inverted_cdf")
    values = (round(float(value) / _MS, 3) for value in found)
    return {"count": len(took), **dict(zip(QUANTILES, values, strict=True))}
