"""latency: how long operations took from invoke to ok, before, within and after each fault."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.fault_intervals import NEVER, FaultInterval, fault_intervals
from jepsenvm.checkers.op_pairs import OpPairs, pairs
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.table import TYPE_CODES, History, Ints, Mask
from jepsenvm.history.units import MILLISECOND

QUANTILES: Final[Mapping[str, float]] = {
    "p50-ms": 0.5,
    "p95-ms": 0.95,
    "p99-ms": 0.99,
    "max-ms": 1.0,
}
"""A quantile is a latency that occurred: the smallest that this share of the ops did not exceed."""

_Period = tuple[str, int]
"""A part of a run: ("all", 0), ("within", a fault's number), or ("quiet", faults before it)."""


def latency(history: History) -> Result:
    """Return quantiles of the milliseconds from invoke to ok of each f.

    An operation is within a fault if any moment of it is between the fault's injection and its
    observed healing. "before" and "after" are the operations between faults that touch no fault
    at all. It judges nothing and is always valid.
    """
    intervals = sorted(fault_intervals(history), key=lambda interval: interval.injected)
    latencies: dict[str, dict[_Period, list[Ints]]] = defaultdict(lambda: defaultdict(list))
    for completed in pairs(history):
        ok = completed.type == TYPE_CODES["ok"]
        took = completed.completed - completed.invoked
        periods = dict(_periods(completed, intervals))
        for code in np.unique(completed.f[ok]):
            of_f = ok & (completed.f == code)
            for period, rows in periods.items():
                latencies[history.names[code]][period].append(took[of_f & rows])
    by_f = {f: _figures(by_period, intervals) for f, by_period in sorted(latencies.items())}
    return Result(Verdict.VALID, (), {"by-f": by_f})


def _periods(
    completed: OpPairs, intervals: Sequence[FaultInterval]
) -> Iterator[tuple[_Period, Mask]]:
    """Yield each period of the run, and which operations belong to it."""
    quiet = np.ones(len(completed.f), dtype=bool)
    yield ("all", 0), quiet.copy()
    for interval in intervals:
        healed = NEVER if interval.healed is None else interval.healed
        within: Mask = (completed.completed >= interval.injected) & (completed.invoked < healed)
        quiet &= ~within
        yield ("within", interval.number), within
    injections = [interval.injected for interval in intervals]
    faults_before = np.searchsorted(injections, completed.invoked, side="right")
    for count in range(len(intervals) + 1):
        yield ("quiet", count), quiet & (faults_before == count)


def _figures(
    by_period: Mapping[_Period, Sequence[Ints]], intervals: Sequence[FaultInterval]
) -> dict[str, Any]:
    by_fault = [
        {
            "window": interval.number,
            "before": _quantiles(by_period["quiet", index]),
            "within": _quantiles(by_period["within", interval.number]),
            "after": _quantiles(by_period["quiet", index + 1]),
        }
        for index, interval in enumerate(intervals)
    ]
    return {"all": _quantiles(by_period["all", 0]), "windows": by_fault}


def _quantiles(parts: Sequence[Ints]) -> dict[str, float]:
    latencies = np.concatenate(parts)
    if not len(latencies):
        return {"count": 0}
    quantiles = np.quantile(latencies, list(QUANTILES.values()), method="inverted_cdf")
    milliseconds = (round(float(quantile) / MILLISECOND, 3) for quantile in quantiles)
    return {"count": len(latencies), **dict(zip(QUANTILES, milliseconds, strict=True))}
