"""total-queue: what goes in must come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.checkers.windows import attribute
from jepsenvm.history.table import History, Ints

SHOWN = 1000
"""So many values of a kind stand in a result; the counts are exact."""


@dataclass(frozen=True)
class _Multisets:
    """How often each value was attempted, acknowledged and dequeued; the arrays share one index."""

    values: Ints | None
    """The value at each index, or None where the index is the value."""
    attempted: Ints
    acknowledged: Ints
    dequeued: Ints

    def listed(self, counts: Ints, history: History) -> list[Any]:
        """Return the first SHOWN values of a multiset, each as often as it counts."""
        first = np.flatnonzero(counts)[:SHOWN]
        repeated = np.repeat(first, counts[first])[:SHOWN]
        return [history.label(code if self.values is None else self.values[code]) for code in repeated]


def total_queue(history: History, *, drain_required: bool = False) -> Result:
    """Compare what was confirmed with what came back, as multisets; Jepsen's ``checker/total-queue``.

    Attempts are invoked enqueues, acknowledged are ok enqueues, dequeued are ok dequeues and the elements of ok drains.
    ok = dequeued that were attempted, once each; unexpected = dequeued, never attempted; duplicated = further copies of
    attempted values; lost = acknowledged - dequeued; recovered = ok - acknowledged. Lost or unexpected is invalid.

    Beyond Jepsen: after a crashed or unfinished drain nobody knows what is still in the queue, so what did not come
    back is counted as undecided, not as lost, and the verdict is unknown. ``drain_required`` treats a history without
    any drain in the same way.
    """
    sets = _multisets(history)
    ok = np.minimum(sets.dequeued, sets.attempted)
    unexpected = np.where(sets.attempted == 0, sets.dequeued, 0)
    duplicated = sets.dequeued - ok - unexpected
    missing = np.maximum(sets.acknowledged - sets.dequeued, 0)
    recovered = np.maximum(ok - sets.acknowledged, 0)
    drain_problem = _drain_problem(history, required=drain_required)
    lost = np.zeros_like(missing) if drain_problem else missing
    figures: dict[str, Any] = {
        "attempt-count": int(sets.attempted.sum()),
        "acknowledged-count": int(sets.acknowledged.sum()),
        "ok-count": int(ok.sum()),
        "dequeued-count": int(sets.dequeued.sum()),
    }
    for name, counts in {
        "lost": lost,
        "duplicated": duplicated,
        "unexpected": unexpected,
        "recovered": recovered,
        "undecided": missing - lost,
    }.items():
        figures[f"{name}-count"] = int(counts.sum())
        figures[name] = sets.listed(counts, history)
    lost_codes = np.flatnonzero(lost)
    found = attribute(history, lost_codes if sets.values is None else sets.values[lost_codes])
    return Result(*_verdict(figures, drain_problem, found), figures)


def _verdict(
    figures: dict[str, Any], drain_problem: str | None, attribution: str | None
) -> tuple[Verdict, tuple[str, ...]]:
    reasons = []
    if figures["lost-count"]:
        reasons.append(f"{figures['lost-count']:,} lost: {attribution or 'acknowledged, and never came back'}")
    if figures["unexpected-count"]:
        reasons.append(f"{figures['unexpected-count']:,} unexpected: delivered, but nobody ever sent them")
    invalid = bool(reasons)
    if drain_problem:
        undecided = figures["undecided-count"]
        reasons.append(f"{drain_problem}: what became of {undecided:,} acknowledged messages is undecided")
    verdict = Verdict.INVALID if invalid else Verdict.UNKNOWN if drain_problem else Verdict.VALID
    return verdict, tuple(reasons)


def _drain_problem(history: History, *, required: bool) -> str | None:
    invoked, ok = history.count("invoke", "drain"), history.count("ok", "drain")
    if history.count("info", "drain"):
        return "a drain crashed"
    if invoked > ok + history.count("fail", "drain"):
        return "a drain did not finish"
    if ok == 0 and invoked:
        return "every drain failed"
    if ok == 0 and required:
        return "the queue was never drained"
    return None


def _multisets(history: History) -> _Multisets:
    columns = [history.values("invoke", "enqueue"), history.values("ok", "enqueue"), history.values("ok", "dequeue")]
    size = sum(len(column) for column in columns)
    highest = max((int(column.max()) for column in columns if len(column)), default=-1)
    lowest = min((int(column.min()) for column in columns if len(column)), default=0)
    values = None
    if lowest < 0 or highest > 4 * size:
        # Counting needs small numbers: where the values are not, number them first.
        values, codes = np.unique(np.concatenate(columns), return_inverse=True)
        columns = np.split(codes, np.cumsum([len(column) for column in columns])[:-1])
        highest = len(values) - 1
    attempted, acknowledged, dequeued = (np.bincount(column, minlength=highest + 1) for column in columns)
    return _Multisets(values, attempted, acknowledged, dequeued)
