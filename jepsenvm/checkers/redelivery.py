"""redelivery: a message that its consumer returns is delivered again, until a consumer keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jepsenvm.checkers.loss_attribution import attribute
from jepsenvm.checkers.op_columns import (
    OpColumns,
    distinct,
    has_flag,
    multiset_difference,
    ops_with_value,
)
from jepsenvm.checkers.total_queue import SHOWN, lost_reason, total_queue
from jepsenvm.checkers.verdict import Result
from jepsenvm.checkers.wording import counted
from jepsenvm.history.table import TYPE_CODES, Chunk, History, Ints, Mask


def redelivery(history: History, *, delivery_limit: int | None) -> Result:
    """Judge like total-queue, where a delivery that its consumer returned consumed nothing.

    The deliveries with ``returned`` in their data are those that a consumer returned to the queue.
    Lost messages that were delivered, and returned each time, are ``dropped``: a quorum queue with
    a delivery limit drops a message that was returned more often
    (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling). Dropped messages are
    lost whatever the limit is. The limit only explains the loss.

    ``delivery_limit`` is the queue's ``x-delivery-limit``: -1 for no limit, None for the broker's
    default (20 since RabbitMQ 4.0).
    """
    deliveries = ops_with_value(history, "ok", "dequeue")
    returned = has_flag(history, "ok", "dequeue", "returned")
    corrupted = has_flag(history, "ok", "dequeue", "corrupted")
    sent = np.isin(deliveries.value, history.values("invoke", "enqueue"))
    kept = deliveries.value[~returned & ~corrupted]
    given_back = returned & ~corrupted
    # A message that was never sent stays unexpected, once, if its consumers only returned it.
    only_returned = given_back & ~sent & ~np.isin(deliveries.value, kept)
    hidden = given_back & ~_first_of_each(deliveries.value, only_returned)
    returned_values, return_counts = np.unique(deliveries.value[hidden], return_counts=True)
    missing = multiset_difference(history.values("ok", "enqueue"), kept)
    was_returned = np.isin(missing, returned_values)
    dropped, never_delivered = missing[was_returned], missing[~was_returned]

    def describe_lost(
        history: History,
        lost: Ints,  # noqa: ARG001 - ``missing`` has them with their numbers
        count: int,  # noqa: ARG001 - the sum of these
    ) -> Sequence[str]:
        counts_of_dropped = return_counts[np.searchsorted(returned_values, dropped)]
        reasons = _dropped_reasons(counts_of_dropped, delivery_limit)
        if len(never_delivered):
            attribution = attribute(history, distinct(never_delivered))
            reasons.append(lost_reason(len(never_delivered), attribution))
        return reasons

    total = total_queue(
        _with_hidden_rows(history, deliveries.row[hidden]),
        drain_required=True,
        describe_lost=describe_lost,
    )
    if not total.figures["lost-count"]:
        dropped = dropped[:0]  # the drain did not finish, so they are undecided
    figures = {
        **total.figures,
        "dropped-count": len(dropped),
        "dropped": [history.label(value) for value in dropped[:SHOWN]],
        "returned-count": int(returned.sum()),
        "most-returns": int(return_counts.max(initial=0)),
        "deliveries": _histogram(deliveries),
        "delivery-limit": delivery_limit,
    }
    return Result(total.verdict, total.reasons, figures)


def _first_of_each(values: Ints, among: Mask) -> Mask:
    """Return where each value occurs for the first time among the selected places."""
    places = np.flatnonzero(among)
    _, first = np.unique(values[places], return_index=True)
    selected: Mask = np.zeros(len(values), dtype=bool)
    selected[places[first]] = True
    return selected


def _with_hidden_rows(history: History, hidden: Ints) -> History:
    """Return the history with these rows as ``info``: they happened, but consumed nothing."""

    def chunks(_: History) -> Iterator[Chunk]:
        rows_before = 0
        for chunk in history:
            in_chunk: Mask = np.zeros(len(chunk.type), dtype=bool)
            low, high = np.searchsorted(hidden, (rows_before, rows_before + len(in_chunk)))
            in_chunk[hidden[low:high] - rows_before] = True
            yield chunk.with_columns(type=np.where(in_chunk, TYPE_CODES["info"], chunk.type))
            rows_before += len(in_chunk)

    return replace(history, _chunks=chunks)


def _histogram(deliveries: OpColumns) -> dict[str, Any]:
    """Return the number of messages by the number of their deliveries."""
    _, counts = np.unique(deliveries.value, return_counts=True)
    delivery_counts, messages = np.unique(counts, return_counts=True)
    pairs = zip(delivery_counts, messages, strict=True)
    return {str(delivery_count): int(count) for delivery_count, count in pairs}


def _dropped_reasons(return_counts: Ints, limit: int | None) -> list[str]:
    if not len(return_counts):
        return []
    low, high = int(return_counts.min()), int(return_counts.max())
    times = counted(high, "time") if low == high else f"{low:,} to {high:,} times"
    dropped = counted(len(return_counts), "acknowledged message was", "acknowledged messages were")
    reason = f"{dropped} dropped after being returned {times} ({_limit_name(limit)})"
    if limit is not None and (early := int((return_counts <= limit).sum())):
        # A message in flight to a consumer that died counts as returned for the broker, but no
        # consumer recorded it. So the broker may have counted more returns than the history has.
        reason += f", {early:,} of them after no more returns than the limit allows"
    return [reason]


def _limit_name(limit: int | None) -> str:
    if limit is None:
        return "the broker's default delivery limit"
    return "no delivery limit" if limit < 0 else f"delivery limit {limit}"
