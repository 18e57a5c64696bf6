"""order: what one process published in an order must be delivered in that order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.exercise import Exercise
from jepsenvm.checkers.fault_intervals import fault_intervals
from jepsenvm.checkers.op_columns import OpColumns, all_ops, has_flag, ops_with_value
from jepsenvm.checkers.publish_order import (
    PublishOrder,
    first_of_each,
    highest_before,
    publish_order,
)
from jepsenvm.checkers.single_active_consumer import Overlap, overlaps
from jepsenvm.checkers.total_queue import (
    SHOWN,
    TOTAL_QUEUE_EXERCISE,
    total_queue,
    total_queue_headline,
)
from jepsenvm.checkers.verdict import Result, graded, worst
from jepsenvm.checkers.wording import counted
from jepsenvm.history.table import History, Ints, Mask

ORDER_EXERCISE: Final = Exercise(
    TOTAL_QUEUE_EXERCISE.operations,
    {
        **TOTAL_QUEUE_EXERCISE.figures,
        "compared-count": "no two messages of one publisher, of which the load's consumers got "
        "at least the first, could be compared, so no order was tested",
    },
)


def order(history: History, *, single_active: bool = False, prefetch: int = 1) -> Result:
    """Find deliveries out of order, and consumers that were active at once where only one may be.

    A delivery is out of order if a message that the same process published later was delivered
    before it, and it is neither flagged as redelivered nor a further delivery of its value. This
    is the definition of Jack Vanlightly's tests
    (https://github.com/Vanlightly/ChaosTestingCode, RabbitMqUdn/client/MessageMonitor.py), but it
    compares with the latest of all earlier deliveries, where his compares with the one just before.

    Which earlier deliveries a delivery is compared with:

    - always those of the same consumer. Two connections race each other, so across consumers the
      history does not show which message the broker sent first;
    - for a delivery of the drain, also those before the drain, because the load's consumers had
      stopped by then;
    - with ``single_active`` (a queue with ``x-single-active-consumer``), all of them, since only
      one consumer at a time gets messages. Stragglers are exempt: up to ``prefetch`` messages that
      were in flight to a consumer when it was replaced.

    ``compared-count`` counts the deliveries that were compared with an earlier one to a consumer of
    the load. If it is 0, no order was tested.

    The result includes total-queue, which judges missing messages and requires a drain. A delivery
    out of order, and two consumers active at once, make it invalid.
    """
    total = total_queue(history, drain_required=True)
    published = publish_order(history)
    deliveries = ops_with_value(history, "ok", "dequeue")
    drain_began, of_drain = _drain_deliveries(history, deliveries)
    active: list[Overlap] = []
    straggler = np.zeros(len(deliveries), dtype=bool)
    if single_active:
        active, straggler[~of_drain] = overlaps(
            deliveries.where(~of_drain), prefetch, fault_intervals(history)
        )
    redelivered = has_flag(history, "ok", "dequeue", "redelivered")
    position = published.positions(deliveries.value)
    judged = position >= 0
    compared = _compare(
        _Deliveries(
            position=position[judged],
            publisher=published.process[position[judged]],
            consumer=deliveries.process[judged],
            again=(redelivered | ~first_of_each(deliveries.value))[judged],
            straggler=straggler[judged],
            of_drain=of_drain[judged],
            before_drain=deliveries.row[judged] < drain_began,
        ),
        single_active=single_active,
    )
    figures = {
        **total.figures,
        "compared-count": compared.count,
        "out-of-order-count": len(compared.out_of_order),
        "out-of-order": _value_pairs(history, published, compared.out_of_order[:SHOWN]),
        "excused-count": compared.excused,
        "two-active-count": sum(overlap.turns for overlap in active),
        "two-active": [overlap.figures(history.nodes) for overlap in active[:SHOWN]],
    }
    reasons = [
        *_order_reasons(figures, published, compared.out_of_order),
        *_two_active_reasons(active, history.nodes),
    ]
    # The figures decide. The reasons only explain them.
    is_invalid = figures["out-of-order-count"] > 0 or figures["two-active-count"] > 0
    verdict = worst(graded(invalid=is_invalid, unknown=False), total.verdict)
    return Result(verdict, (*reasons, *total.reasons), figures)


def order_headline(figures: Mapping[str, Any]) -> str:
    """Return the figures of total-queue, and the violations of the order, in one line."""
    return (
        f"{total_queue_headline(figures)}, out of order {figures['out-of-order-count']:,}, "
        f"two active {figures['two-active-count']:,}"
    )


@dataclass(frozen=True)
class _Deliveries:
    """The deliveries with a known position in the publish order. Arrays have the same length."""

    position: Ints
    publisher: Ints
    consumer: Ints
    again: Mask
    """Whether it is flagged as redelivered, or a further delivery of its value."""
    straggler: Mask
    of_drain: Mask
    before_drain: Mask


@dataclass(frozen=True)
class _Compared:
    out_of_order: Ints
    """One row per delivery out of order: its position, and the later one delivered before it."""
    excused: int
    """The number of deliveries that go backwards but are exempt."""
    count: int
    """The number of deliveries that were judged against a delivery to a consumer of the load."""


def _compare(deliveries: _Deliveries, *, single_active: bool) -> _Compared:
    """Compare each delivery with the latest position that was delivered before it."""
    position, publisher = deliveries.position, deliveries.publisher
    latest_of_consumer = highest_before(position, publisher, deliveries.consumer)
    excused_stragglers = 0
    if single_active:
        latest_of_all = highest_before(position, publisher)
        latest = np.where(deliveries.straggler, latest_of_consumer, latest_of_all)
        late_stragglers = (
            deliveries.straggler & (latest_of_consumer <= position) & (latest_of_all > position)
        )
        excused_stragglers = int(late_stragglers.sum())
    else:
        latest_of_load = _highest(position, publisher, deliveries.before_drain)
        latest_in_drain = np.maximum(latest_of_consumer, latest_of_load)
        latest = np.where(deliveries.of_drain, latest_in_drain, latest_of_consumer)
    after_load = ~deliveries.of_drain | (_highest(position, publisher, ~deliveries.of_drain) >= 0)
    backwards = latest > position
    rows = np.flatnonzero(backwards & ~deliveries.again)
    return _Compared(
        out_of_order=np.stack([position[rows], latest[rows]], axis=1),
        excused=int((backwards & deliveries.again).sum()) + excused_stragglers,
        count=int(((latest >= 0) & ~deliveries.again & after_load).sum()),
    )


def _drain_deliveries(history: History, deliveries: OpColumns) -> tuple[int, Mask]:
    """Return the row where the first drain began, and which deliveries are those of the drain.

    They are the deliveries to processes that get messages in drains only. A consumer of the load
    that goes on during the drain is not one of these.
    """
    drains = all_ops(history, "drain")
    began = drains.of_type("invoke").row
    if not len(began):
        return 0, np.zeros(len(deliveries), dtype=bool)
    unfinished = 2 * len(began) > len(drains)
    last = np.iinfo(np.int64).max if unfinished else drains.row[-1]
    outside = (deliveries.row < began[0]) | (deliveries.row > last)
    of_load = np.isin(deliveries.process, deliveries.process[outside])
    return int(began[0]), ~of_load


def _highest(position: Ints, publisher: Ints, selected: Mask) -> Ints:
    """Return for each row the highest position of its publisher among the selected rows, or -1."""
    publishers, code = np.unique(publisher, return_inverse=True)
    highest = np.full(len(publishers), -1, dtype=np.int64)
    np.maximum.at(highest, code[selected], position[selected])
    of_publisher: Ints = highest[code]
    return of_publisher


def _value_pairs(history: History, published: PublishOrder, pairs: Ints) -> list[list[Any]]:
    """Return pairs of positions as pairs of values."""
    return [[history.label(code) for code in codes] for codes in published.value[pairs].tolist()]


def _order_reasons(
    figures: dict[str, Any], published: PublishOrder, out_of_order: Ints
) -> list[str]:
    if not len(out_of_order):
        return []
    value, later_value = figures["out-of-order"][0]
    publisher = int(published.process[out_of_order[0, 0]])
    deliveries = counted(len(out_of_order), "delivery is", "deliveries are")
    return [
        f"{deliveries} out of order: first {value} after {later_value}, which process {publisher} "
        "published later"
    ]


def _two_active_reasons(active: list[Overlap], nodes: list[str]) -> list[str]:
    if not active:
        return []
    first = active[0].figures(nodes)
    consumers = " and ".join(
        f"process {consumer}" + (f" on {node}" if node else "")
        for consumer, node in zip(first["consumers"], first["nodes"], strict=True)
    )
    turns = counted(first["turns"], "turn")
    span = f"between {first['first']:.1f} s and {first['last']:.1f} s"
    more = f", and {counted(len(active) - 1, 'more pair')}" if len(active) > 1 else ""
    return [f"two consumers were active at once: {consumers} took {turns} {span}{more}"]
