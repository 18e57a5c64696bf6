"""total-queue for several queues: every copy of a message must come out of its queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.copies import STRAY, Copies, copies_of
from jepsenvm.checkers.delivery_queues import UNKNOWN
from jepsenvm.checkers.loss_attribution import attribute
from jepsenvm.checkers.lost_bindings import LostBindings, lost_bindings
from jepsenvm.checkers.queue_doubts import doubt_of_queues, gone_queues
from jepsenvm.checkers.total_queue import (
    SHOWN,
    LossDoubt,
    all_values,
    lost_reason,
    total_queue,
)
from jepsenvm.checkers.vanished_queue import vanished_queues
from jepsenvm.checkers.verdict import Result, Verdict, worst
from jepsenvm.checkers.wording import counted, listed_numbers
from jepsenvm.errors import shorten
from jepsenvm.history.table import History, Ints
from jepsenvm.plan.routing import Routing

SAMPLE: Final = 5
"""Lost messages that the results name for each queue."""

NAMED: Final = 3
"""Queues that a reason names."""


def many_queues(history: History, *, routing: Routing) -> Result:
    """Judge the copies of messages like ``total_queue``, and say in which queues they were lost.

    A copy that came from a queue to which its message was not routed is unexpected. A queue that
    disappeared is named, and so is a binding. It is unknown if a queue got no confirmed message,
    or if a delivery does not say which queue it came from.
    """
    view = copies_of(history, routing)
    seen, losses = _survey(view), _Losses(view)
    total = total_queue(
        view,
        drain_required=True,
        describe_lost=losses.describe,
        describe_unexpected=partial(_describe_unexpected, view),
        doubt_loss=partial(_doubt_loss, view, seen),
    )
    doubts = [*_untested(seen), *_without_queue(seen)]
    bindings = lost_bindings(history) if routing.exchange != "default" else _NO_BINDINGS
    verdict = worst(total.verdict, bindings.verdict, Verdict.UNKNOWN if doubts else Verdict.VALID)
    figures = {
        **total.figures,
        "queue-count": routing.queues,
        "fan-out": routing.fan_out,
        "lost-by-queue": losses.by_queue,
        "gone-queues": vanished_queues(history),
        "misrouted-count": seen.misrouted,
        **bindings.figures,
    }
    reasons = (*total.reasons, *_gone(view, losses), *bindings.reasons, *doubts)
    return Result(verdict, reasons, figures)


_NO_BINDINGS: Final = LostBindings(Verdict.VALID, ())


@dataclass(frozen=True)
class _Survey:
    """What one pass over the copies shows."""

    untested: Sequence[int]
    """The queues for which no message was confirmed."""
    misrouted: int
    """Deliveries from a queue to which their message was not routed."""
    without_queue: int
    """Deliveries that do not say which queue they came from."""


def _survey(view: Copies) -> _Survey:
    confirmed = np.zeros(view.routing.queues, dtype=bool)
    misrouted = without_queue = 0
    for chunk in view:
        of_run = chunk.has_value & (chunk.value >= 0)
        queues = view.queues_of(chunk.value[view.mask(chunk, "ok", "enqueue") & of_run])
        confirmed[queues[queues != UNKNOWN]] = True
        strays = chunk.value[view.mask(chunk, "ok", "dequeue") & of_run & (chunk.value >= STRAY)]
        misrouted += int((view.queues_of(strays) != UNKNOWN).sum())
        # A dequeue in doubt has no value, except in this view.
        without_queue += int((view.mask(chunk, "info", "dequeue") & of_run).sum())
    return _Survey(np.flatnonzero(~confirmed).tolist(), misrouted, without_queue)


def _doubt_loss(view: Copies, seen: _Survey, _: History) -> LossDoubt | None:
    if seen.without_queue:
        return LossDoubt("not every delivery says which queue it came from", all_values)
    return doubt_of_queues(view)


@dataclass
class _Losses:
    """The lost copies by queue, once the checker has described them."""

    view: Copies
    by_queue: list[Mapping[str, Any]] = field(default_factory=list)
    """For the queues with the most lost copies: its number, how many, and the first ones."""
    counts: Mapping[int, int] = field(default_factory=dict)
    """The number of lost copies by queue."""

    def describe(self, history: History, lost: Ints, count: int) -> Sequence[str]:
        """Return the reason for lost copies: where they were confirmed, and in which queues."""
        queues = self.view.queues_of(lost)
        numbers, counts = np.unique(queues, return_counts=True)
        most_first = np.argsort(-counts, kind="stable")
        self.counts = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
        self.by_queue = [
            _lost_of_queue(self.view, number, np.sort(lost[queues == number]))
            for number in numbers[most_first][:SHOWN].tolist()
        ]
        attribution = attribute(history, lost, one_queue=False)
        return [f"{lost_reason(count, attribution)}; {self._queues()}"]

    def _queues(self) -> str:
        texts = [
            f"{entry['count']:,} in queue {entry['queue']} (such as {entry['sample'][0]})"
            for entry in self.by_queue[:NAMED]
        ]
        more = len(self.counts) - len(texts)
        others = sum(self.counts.values()) - sum(each["count"] for each in self.by_queue[:NAMED])
        if more:
            texts.append(f"{others:,} in {counted(more, 'further queue')}")
        return ", ".join(texts)


def _lost_of_queue(view: Copies, number: int, lost: Ints) -> Mapping[str, Any]:
    sample = [view.message(value) for value in lost[:SAMPLE].tolist()]
    return {"queue": number, "count": len(lost), "sample": sample}


def _describe_unexpected(view: Copies, _: History, count: int) -> Sequence[str]:
    messages = counted(count, "delivered message is", "delivered messages are")
    strays = [
        f"{shorten(message)} in queue {queue}" for message, queue in view.strays if queue >= 0
    ]
    such = f", such as {strays[0]}" if strays else ""
    return [f"{messages} unexpected: never sent to the queue that it came from{such}"]


def _gone(view: Copies, losses: _Losses) -> Iterator[str]:
    """Yield the queues that disappeared, and how many lost messages they had."""
    names = vanished_queues(view)
    if not names:
        return
    lost = sum(losses.counts.get(number, 0) for number in gone_queues(view))
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    what = counted(len(names), "queue", "queues")
    yield (
        f"{what} disappeared, with {lost:,} of the lost messages: no node knows "
        f"{', '.join(names[:NAMED])}{more} any more"
    )


def _untested(seen: _Survey) -> Iterator[str]:
    if seen.untested:
        one = len(seen.untested) == 1
        yield (
            f"{'queue' if one else 'queues'} {listed_numbers(seen.untested)} got no confirmed "
            f"message, so {'it was' if one else 'they were'} not tested"
        )


def _without_queue(seen: _Survey) -> Iterator[str]:
    if seen.without_queue:
        deliveries = counted(seen.without_queue, "delivery does", "deliveries do")
        yield f"{deliveries} not say which queue it came from"
