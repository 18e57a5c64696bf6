"""total-queue: every acknowledged message must come out of the queue, and no other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from jepsenvm.checkers.corrupted import split_corrupted
from jepsenvm.checkers.drain import drain_problem, misread_values
from jepsenvm.checkers.exercise import Exercise
from jepsenvm.checkers.loss_attribution import attribute
from jepsenvm.checkers.multisets import Multisets
from jepsenvm.checkers.own_restarts import restart_doubt
from jepsenvm.checkers.unacknowledged import unacknowledged_values
from jepsenvm.checkers.vanished_queue import vanished_queue_doubt
from jepsenvm.checkers.verdict import Result, graded
from jepsenvm.checkers.wording import counted
from jepsenvm.history.op import Type
from jepsenvm.history.table import History, Ints, Mask

SHOWN: Final = 1000
"""At most this many values of each kind are in a result. The counts are exact."""

COUNTED: Final[tuple[tuple[Type, str], ...]] = (
    ("invoke", "enqueue"),
    ("ok", "enqueue"),
    ("ok", "dequeue"),
)
"""The ops that are attempted, acknowledged and dequeued, in this order."""

ACKNOWLEDGED: Final = 1
"""The place of the acknowledged ops in COUNTED."""

KINDS: Final = ("lost", "duplicated", "unexpected", "recovered", "undecided")
"""The kinds of messages that a result lists."""

END: Final = 1 << 40
"""The value of the record by which the drain marks the end of a stream.

The publishers' values never grow that far.
"""

NOTHING_ACKNOWLEDGED: Final = "no message was acknowledged, so there was nothing to lose"
"""Why a history without ``load-acknowledged-count`` tested nothing."""

TOTAL_QUEUE_EXERCISE: Final = Exercise(
    ("enqueue", "dequeue", "drain"), {"load-acknowledged-count": NOTHING_ACKNOWLEDGED}
)

TOTAL_QUEUE_PLOTS: Final[Mapping[str, str]] = {"enqueue": "confirmed", "dequeue": "delivered"}
"""What an ok op has done, by op, for the titles of the report's plots."""

ValueCounts = npt.NDArray[np.signedinteger]
"""How often each of some values occurs in a multiset."""

DescribeLost = Callable[[History, Ints, int], Sequence[str]]
"""(history, the lost values, each once, the number of lost messages) -> reasons."""


DescribeUnexpected = Callable[[History, int], Sequence[str]]
"""(history, the number of unexpected messages, not 0) -> reasons."""


@dataclass(frozen=True)
class LossDoubt:
    """Why some messages that did not come back may not be the broker's loss."""

    reason: str
    applies_to: Callable[[Ints], Mask]
    """Whether it is about each of some values."""


DoubtLoss = Callable[[History], LossDoubt | None]


def lost_reason(count: int, attribution: str | None) -> str:
    """Return the reason for lost messages; ``attribution`` says where they were confirmed."""
    lost = counted(count, "message was", "messages were")
    return f"{lost} lost: {attribution or 'acknowledged, but never delivered'}"


def _describe_lost(history: History, lost: Ints, count: int) -> Sequence[str]:
    return [lost_reason(count, attribute(history, lost))]


def _describe_unexpected(_: History, count: int) -> Sequence[str]:
    messages = counted(count, "delivered message is", "delivered messages are")
    return [f"{messages} unexpected: never sent by any process"]


def _doubt_loss(history: History) -> LossDoubt | None:
    """Return the doubt about the run's only queue, which holds for all messages."""
    reason = restart_doubt(history) or vanished_queue_doubt(history)
    return None if reason is None else LossDoubt(reason, all_values)


def all_values(values: Ints) -> Mask:
    """Return that a doubt applies to each of some values."""
    return np.ones(len(values), dtype=bool)


def total_queue(
    history: History,
    *,
    drain_required: bool = False,
    describe_lost: DescribeLost = _describe_lost,
    describe_unexpected: DescribeUnexpected = _describe_unexpected,
    doubt_loss: DoubtLoss = _doubt_loss,
) -> Result:
    """Compare what was acknowledged with what came back: Jepsen's ``checker/total-queue``.

    All of these are multisets. Attempted are invoked enqueues, acknowledged are ok enqueues,
    dequeued are ok dequeues and the values of ok drains, without corrupted ones.

    - ok: dequeued and attempted, each as often as it was attempted at most;
    - unexpected: dequeued and never attempted;
    - duplicated: further copies of attempted values;
    - lost: acknowledged - dequeued;
    - recovered: ok - acknowledged.

    Lost and unexpected messages make it invalid.

    Beyond Jepsen: corrupted deliveries make it invalid too. A delivery that its consumer never
    acknowledged consumed nothing, so a message that came back only in such deliveries is lost.

    After a drain that crashed or did not finish, messages may still be in the queue. In a history
    that is cut short, they may have been delivered later, and a drain whose value is not understood
    may have delivered them. What did not come back is then undecided
    instead of lost, and the verdict is unknown. The same holds if jepsenvm restarted every replica
    of the queue before the drain, and if the queue disappeared while no fault was in force.

    ``drain_required``       treat a history without any drain the same.
    ``describe_lost``        returns the reasons for lost messages; it changes nothing else.
    ``describe_unexpected``  returns the reasons for unexpected messages.
    ``doubt_loss``           returns which messages are undecided if they did not come back.
    """
    history, corrupted = split_corrupted(history, "dequeue")
    sets = Multisets(len(COUNTED) + 1)
    for chunk in history:
        sets.add(len(COUNTED), unacknowledged_values(history, chunk))
        for index, (type_, f) in enumerate(COUNTED):
            rows = np.flatnonzero(history.mask(chunk, type_, f) & chunk.has_value)
            sets.add(index, chunk.narrow("value")[rows])
    problem = drain_problem(history, required=drain_required)
    misread = misread_values(history)
    loss_doubt = doubt_loss(history)
    totals: Counter[str] = Counter()
    shown: dict[str, list[Ints]] = defaultdict(lambda: [np.empty(0, dtype=np.int64)])
    lost = [np.empty(0, dtype=np.int64)]
    ends = _end_codes(history)
    for values, counts in sets.blocks():
        totals["end"] += int(counts[ACKNOWLEDGED][np.isin(values, ends)].sum())
        decided = np.full(len(values), problem is None)
        if loss_doubt is not None:
            decided &= ~loss_doubt.applies_to(values)
        compared = _compare(*counts, decided=decided)
        compared["unexpected"][np.isin(values, misread)] = 0
        for name, value_counts in compared.items():
            totals[name] += int(value_counts.sum())
            if name in KINDS:
                shown[name].append(_first_elements(values, value_counts))
        lost.append(values[compared["lost"] > 0])
    figures: dict[str, Any] = {
        f"{name}-count": totals[name] for name in ("attempt", "acknowledged", "ok", "dequeued")
    }
    figures["load-acknowledged-count"] = totals["acknowledged"] - totals["end"]
    for kind in KINDS:
        figures[f"{kind}-count"] = totals[kind]
        codes = np.sort(np.concatenate(shown[kind]))[:SHOWN]
        figures[kind] = [history.label(code) for code in codes.tolist()]
    figures["lost-after-delivery-count"] = totals["lost-after-delivery"]
    figures |= corrupted.figures
    reasons = [*_after_delivery_reasons(figures), *corrupted.reasons]
    if totals["unexpected"]:
        reasons += describe_unexpected(history, totals["unexpected"])
    if totals["lost"]:
        reasons = [*describe_lost(history, np.concatenate(lost), totals["lost"]), *reasons]
    # A doubt about who lost messages matters only if messages are missing.
    doubt = problem or (loss_doubt.reason if loss_doubt and totals["undecided"] else None)
    # The figures decide. The reasons only explain them.
    verdict = graded(
        invalid=totals["lost"] > 0 or totals["unexpected"] > 0 or corrupted.count > 0,
        unknown=totals["undecided"] > 0 or problem is not None,
    )
    return Result(verdict, (*reasons, *_drain_reasons(figures, doubt)), figures)


def total_queue_headline(figures: Mapping[str, Any]) -> str:
    """Return the figures in one line."""
    undecided = figures["undecided-count"]
    return (
        f"acknowledged {figures['acknowledged-count']:,}, drained {figures['ok-count']:,}, "
        f"LOST {figures['lost-count']:,}, duplicated {figures['duplicated-count']:,}, "
        f"unexpected {figures['unexpected-count']:,}, "
        f"corrupted {figures['corrupted-count']:,}, "
        f"recovered {figures['recovered-count']:,}"
    ) + (f", undecided {undecided:,}" if undecided else "")


def end_marks(history: History) -> int:
    """Return how many acknowledged enqueues are not of the load, but mark the end of a stream."""
    codes = _end_codes(history)
    return sum(
        int(np.isin(chunk.narrow("value")[history.mask(chunk, "ok", "enqueue")], codes).sum())
        for chunk in history
    )


def _end_codes(history: History) -> list[int]:
    """Return the codes of the value that marks the end of a stream."""
    if history.labels is None:
        return [END]
    return [
        code for code, label in enumerate(history.labels) if isinstance(label, int) and label == END
    ]


def _compare(
    attempted: ValueCounts,
    acknowledged: ValueCounts,
    dequeued: ValueCounts,
    unacknowledged: ValueCounts,
    *,
    decided: Mask,
) -> Mapping[str, ValueCounts]:
    """Return each multiset of the result as the counts of the values, in the order of the values.

    ``unacknowledged`` are those of ``dequeued`` that consumed nothing.

    ``decided`` says whether each value, if it is missing, is lost (its queue was drained) or
    undecided.
    """
    ok = np.minimum(dequeued, attempted)
    unexpected = np.where(attempted == 0, dequeued, 0)
    consumed = np.maximum(dequeued - unacknowledged, 0)
    missing = np.maximum(acknowledged - consumed, 0)
    lost = np.where(decided, missing, 0)
    return {
        "attempt": attempted,
        "acknowledged": acknowledged,
        "ok": ok,
        "dequeued": dequeued,
        "lost": lost,
        "duplicated": dequeued - ok - unexpected,
        "lost-after-delivery": np.minimum(lost, np.minimum(dequeued, unacknowledged)),
        "unexpected": unexpected,
        "recovered": np.maximum(ok - acknowledged, 0),
        "undecided": missing - lost,
    }


def compared(
    attempted: int, acknowledged: int, dequeued: int, unacknowledged: int, *, decided: bool
) -> Mapping[str, int]:
    """Return how often one value is in each multiset of the result, from how often it occurs.

    ``decided`` says whether missing messages are lost or undecided.
    """
    counts = [np.array([count]) for count in (attempted, acknowledged, dequeued, unacknowledged)]
    found = _compare(*counts, decided=np.array([decided]))
    return {kind: int(of_kind[0]) for kind, of_kind in found.items()}


def _first_elements(values: Ints, value_counts: ValueCounts) -> Ints:
    """Return the first SHOWN elements of a multiset."""
    places = np.flatnonzero(value_counts)[:SHOWN]
    return np.repeat(values[places], np.minimum(value_counts[places], SHOWN))[:SHOWN]


def _after_delivery_reasons(figures: Mapping[str, Any]) -> list[str]:
    count = figures["lost-after-delivery-count"]
    if not count:
        return []
    messages = counted(count, "lost message was", "lost messages were")
    return [f"{messages} delivered, but only to consumers that never acknowledged them"]


def _drain_reasons(figures: Mapping[str, Any], problem: str | None) -> list[str]:
    if problem is None:
        return []
    if not figures["undecided-count"]:
        return [problem]
    messages = counted(
        figures["undecided-count"], "acknowledged message is", "acknowledged messages are"
    )
    return [f"{problem}: {messages} undecided, neither delivered nor proven to be lost"]
