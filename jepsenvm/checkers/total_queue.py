"""total-queue: what goes in must come out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.fault_intervals import attribute
from jepsenvm.checkers.multisets import Multisets
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.op import Type
from jepsenvm.history.table import History, Ints

SHOWN = 1000
"""So many values of a kind stand in a result; the counts are exact."""


COUNTED: Final[tuple[tuple[Type, str], ...]] = (
    ("invoke", "enqueue"),
    ("ok", "enqueue"),
    ("ok", "dequeue"),
)
"""What is attempted, acknowledged and dequeued."""


TellLost = Callable[[History, Ints, int], Sequence[str]]
"""(history, the lost values, each once, how many are lost) -> what is said of them."""


def _lost(history: History, values: Ints, count: int) -> Sequence[str]:
    return [f"{count:,} lost: {attribute(history, values) or 'acknowledged, and never came back'}"]


def total_queue(
    history: History, *, drain_required: bool = False, tell_lost: TellLost = _lost
) -> Result:
    """Compare what was confirmed with what came back, as multisets; Jepsen's ``checker/total-queue``.

    Attempts are invoked enqueues, acknowledged are ok enqueues, dequeued are ok dequeues and the elements of ok drains.
    ok = dequeued that were attempted, once each; unexpected = dequeued, never attempted; duplicated = further copies of
    attempted values; lost = acknowledged - dequeued; recovered = ok - acknowledged. Lost or unexpected is invalid.

    Beyond Jepsen: after a crashed or unfinished drain nobody knows what is still in the queue, so what did not come
    back is counted as undecided, not as lost, and the verdict is unknown. ``drain_required`` treats a history without
    any drain in the same way; ``tell_lost`` puts what is lost into other words, and changes nothing else.
    """
    sets = Multisets(len(COUNTED))
    for chunk in history:
        for number, (type_, f) in enumerate(COUNTED):
            sets.add(number, chunk.value[history.mask(chunk, type_, f) & chunk.has_value])
    drain_problem = _drain_problem(history, required=drain_required)
    totals: Counter[str] = Counter()
    first: dict[str, list[Ints]] = defaultdict(list)
    lost = [np.empty(0, dtype=np.int64)]
    for values, counts in sets.blocks():
        compared = _compared(*counts, decided=drain_problem is None)
        for name, times in compared.items():
            totals[name] += int(times.sum())
            first[name].append(_first(values, times))
        lost.append(values[compared["lost"] > 0])
    figures: dict[str, Any] = {
        f"{name}-count": totals[name] for name in ("attempt", "acknowledged", "ok", "dequeued")
    }
    for name in ("lost", "duplicated", "unexpected", "recovered", "undecided"):
        figures[f"{name}-count"] = totals[name]
        codes = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *first[name]]))[:SHOWN]
        figures[name] = [history.label(code) for code in codes.tolist()]
    count = figures["lost-count"]
    return Result(
        *_verdict(
            figures, drain_problem, tell_lost(history, np.concatenate(lost), count) if count else ()
        ),
        figures,
    )


def _compared(
    attempted: Ints, acknowledged: Ints, dequeued: Ints, *, decided: bool
) -> Mapping[str, Ints]:
    """Return each multiset of the result; the arrays have how often it has the value at each place."""
    ok = np.minimum(dequeued, attempted)
    unexpected = np.where(attempted == 0, dequeued, 0)
    missing = np.maximum(acknowledged - dequeued, 0)
    none = np.zeros_like(missing)
    return {
        "attempt": attempted,
        "acknowledged": acknowledged,
        "ok": ok,
        "dequeued": dequeued,
        "lost": missing if decided else none,
        "duplicated": dequeued - ok - unexpected,
        "unexpected": unexpected,
        "recovered": np.maximum(ok - acknowledged, 0),
        "undecided": none if decided else missing,
    }


def _first(values: Ints, times: Ints) -> Ints:
    """Return the first SHOWN elements of a multiset."""
    places = np.flatnonzero(times)[:SHOWN]
    return np.repeat(values[places], np.minimum(times[places], SHOWN))[:SHOWN]


def _verdict(
    figures: dict[str, Any], drain_problem: str | None, lost: Sequence[str]
) -> tuple[Verdict, tuple[str, ...]]:
    reasons = list(lost)
    if figures["unexpected-count"]:
        reasons.append(
            f"{figures['unexpected-count']:,} unexpected: delivered, but nobody ever sent them"
        )
    invalid = bool(reasons)
    if drain_problem:
        undecided = figures["undecided-count"]
        reasons.append(
            f"{drain_problem}: what became of {undecided:,} acknowledged messages is undecided"
        )
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
