"""redelivery: what consumers give back comes again, until one keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jepsenvm.checkers.fault_intervals import attribute
from jepsenvm.checkers.rows import Rows, marked, rows, without
from jepsenvm.checkers.total_queue import SHOWN, total_queue
from jepsenvm.checkers.verdict import Result
from jepsenvm.history.table import TYPE_CODES, Chunk, History, Ints, Mask


def redelivery(history: History, *, delivery_limit: int | None) -> Result:
    """Judge as total-queue does, where a delivery that its consumer gave back (``returned``) consumed nothing.

    Of the lost, those that were delivered, and given back each time, are ``dropped``: a quorum queue with a delivery
    limit drops what was returned more often (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling).
    Dropped is lost, whatever the limit, which only explains it: None for the broker's own, 20 since RabbitMQ 4.0.
    """
    came, returned = rows(history, "ok", "dequeue"), marked(history, "ok", "dequeue", "returned")
    # A message that nobody ever sent is unexpected even where it was given back.
    given_back = returned & np.isin(came.value, history.values("invoke", "enqueue"))
    values, times = np.unique(came.value[given_back], return_counts=True)
    missing = without(history.values("ok", "enqueue"), came.value[~given_back])
    dropped, never = missing[np.isin(missing, values)], without(missing, values)

    def dropped_or_never_came(*_: object) -> Sequence[str]:
        told = _dropped(times[np.isin(values, dropped)], delivery_limit)
        if len(never):
            told.append(
                f"{len(never):,} lost: {attribute(history, never) or 'acknowledged, and never came'}"
            )
        return told

    kept = _without(history, came.row[given_back])
    total = total_queue(kept, drain_required=True, tell_lost=dropped_or_never_came)
    if not total.figures["lost-count"]:
        dropped = dropped[:0]  # undecided
    figures = {
        **total.figures,
        "dropped-count": len(dropped),
        "dropped": [history.label(value) for value in dropped[:SHOWN]],
        "returned-count": int(returned.sum()),
        "most-returns": int(times.max(initial=0)),
        "deliveries": _histogram(came),
        "delivery-limit": delivery_limit,
    }
    return Result(total.verdict, total.reasons, figures)


def _without(history: History, hidden: Ints) -> History:
    """Return the history with these rows as ``info``: they happened, and changed nothing."""

    def chunks(_: History) -> Iterator[Chunk]:
        before = 0
        for chunk in history:
            here: Mask = np.zeros(len(chunk.type), dtype=bool)
            low, high = np.searchsorted(hidden, (before, before + len(here)))
            here[hidden[low:high] - before] = True
            yield chunk.with_columns(type=np.where(here, TYPE_CODES["info"], chunk.type))
            before += len(here)

    return History(chunks, history.names, history.nodes, history.labels, history.complete)


def _histogram(came: Rows) -> dict[str, Any]:
    """Return how many messages were delivered how often."""
    _, deliveries = np.unique(came.value, return_counts=True)
    how_often, messages = np.unique(deliveries, return_counts=True)
    return {str(times): int(count) for times, count in zip(how_often, messages, strict=True)}


def _dropped(times: Ints, limit: int | None) -> list[str]:
    if not len(times):
        return []
    low, high = int(times.min()), int(times.max())
    span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    text = f"delivery limit {limit}" if limit is not None else "the broker's own delivery limit"
    sentence = f"{len(times):,} acknowledged messages were dropped after being returned {span} times ({text})"
    if limit is not None and (fewer := int((times <= limit).sum())):
        # What was on its way to a consumer that died counts for the broker, and nobody has seen it.
        sentence += f", {fewer:,} of them after no more returns than the limit allows"
    return [sentence]
