"""order: what one process published in an order is delivered in that order."""

from __future__ import annotations

from typing import Any

import numpy as np

from jepsenvm.checkers.fault_intervals import fault_intervals
from jepsenvm.checkers.publishing import Publishing, first_of_each, highest_before, publishing
from jepsenvm.checkers.rows import Rows, all_rows, marked, rows
from jepsenvm.checkers.single_active import Overlap, overlaps
from jepsenvm.checkers.total_queue import SHOWN, total_queue
from jepsenvm.checkers.verdict import Result, Verdict, worst
from jepsenvm.history.table import History, Ints, Mask


def order(history: History, *, single_active: bool = False, prefetch: int = 1) -> Result:
    """Find deliveries that go backwards, and consumers that were active at once where only one may be.

    A delivery is out of order when a message that the same process published later was delivered before it, and it is
    neither flagged as redelivered nor a further delivery of its value: the definition of Jack Vanlightly's tests
    (https://github.com/Vanlightly/ChaosTestingCode, RabbitMqUdn/client/MessageMonitor.py), but against the latest
    message delivered so far where his is against the one just before. What else a delivery is compared with:

    - always what the same consumer got before: two connections race each other, so that across consumers nothing says
      which message the broker sent first;
    - a delivery of the drain also with all that came before the drain, when the load's consumers had gone;
    - ``single_active``, for a queue with ``x-single-active-consumer``: all deliveries, since only one consumer gets
      any; except stragglers, up to ``prefetch`` messages that were on their way to a consumer when it was replaced.

    Gaps are total-queue's matter, whose figures and verdict this one includes, as of a history that needs a drain. Out
    of order and two active at once are invalid.
    """
    total = total_queue(history, drain_required=True)
    published, came = publishing(history), rows(history, "ok", "dequeue")
    drain_began, drained = _drained(history, came)
    active: list[Overlap] = []
    stragglers = np.zeros(len(came), dtype=bool)
    if single_active:
        active, stragglers[~drained] = overlaps(
            came.only(~drained), prefetch, fault_intervals(history)
        )

    turn = published.turns(came.value)
    placed = turn >= 0
    again = (marked(history, "ok", "dequeue", "redelivered") | ~first_of_each(came.value))[placed]
    came, turn, stragglers, drained = (
        came.only(placed),
        turn[placed],
        stragglers[placed],
        drained[placed],
    )
    publisher = published.process[turn]
    own = highest_before(turn, publisher, came.process)
    if single_active:
        others = highest_before(turn, publisher)
        late = stragglers & (own <= turn) & (others > turn)
        after = np.where(stragglers, own, others)
    else:
        late = np.zeros_like(stragglers)
        after = np.where(
            drained, np.maximum(own, _latest(turn, publisher, came.row < drain_began)), own
        )

    backwards = after > turn
    out = np.flatnonzero(backwards & ~again)
    figures = {
        **total.figures,
        "out-of-order-count": len(out),
        "out-of-order": _pairs(history, published, turn[out[:SHOWN]], after[out[:SHOWN]]),
        "excused-count": int((backwards & again).sum() + late.sum()),
        "two-active-count": sum(overlap.turns for overlap in active),
        "two-active": [overlap.figures(history.nodes) for overlap in active[:SHOWN]],
    }
    reasons = [
        *_out_of_order(figures, [int(publisher[row]) for row in out[:1]]),
        *_two_active(active, history.nodes),
    ]
    verdict = worst(Verdict.INVALID if reasons else Verdict.VALID, total.verdict)
    return Result(verdict, (*reasons, *total.reasons), figures)


def _drained(history: History, came: Rows) -> tuple[int, Mask]:
    """Return the row where the first drain began, and which deliveries are of processes that deliver in drains only."""
    drains = all_rows(history, "drain")
    began = drains.of_type("invoke").row
    if not len(began):
        return 0, np.zeros(len(came), dtype=bool)
    unfinished = 2 * len(began) > len(drains)
    last = np.iinfo(np.int64).max if unfinished else drains.row[-1]
    outside = (came.row < began[0]) | (came.row > last)
    return int(began[0]), ~np.isin(came.process, came.process[outside])


def _latest(turn: Ints, publisher: Ints, wanted: Mask) -> Ints:
    """Return for each row the highest turn of its publisher among the wanted rows; -1 where there is none."""
    publishers, code = np.unique(publisher, return_inverse=True)
    highest = np.full(len(publishers), -1, dtype=np.int64)
    np.maximum.at(highest, code[wanted], turn[wanted])
    latest: Ints = highest[code]
    return latest


def _pairs(history: History, published: Publishing, turn: Ints, after: Ints) -> list[list[Any]]:
    values = zip(published.value[turn], published.value[after], strict=True)
    return [[history.label(value), history.label(later)] for value, later in values]


def _out_of_order(figures: dict[str, Any], publisher: list[int]) -> list[str]:
    if not publisher:
        return []
    value, after = figures["out-of-order"][0]
    count = figures["out-of-order-count"]
    return [
        f"{count:,} out of order: first {value} after {after}, which process {publisher[0]} published later"
    ]


def _two_active(active: list[Overlap], nodes: list[str]) -> list[str]:
    if not active:
        return []
    first = active[0].figures(nodes)
    who = " and ".join(
        f"process {consumer}" + (f" on {node}" if node else "")
        for consumer, node in zip(first["consumers"], first["nodes"], strict=True)
    )
    more = f", and {len(active) - 1:,} more pairs" if len(active) > 1 else ""
    when = f"between {first['first']:.1f} s and {first['last']:.1f} s"
    return [f"two active consumers at once: {who} took {first['turns']:,} turns {when}{more}"]
