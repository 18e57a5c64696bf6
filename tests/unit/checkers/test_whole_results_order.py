"""Order and streams: everything that their checkers say about each kind of history."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from jepsenvm.checkers.order import order
from jepsenvm.checkers.stream import stream
from jepsenvm.checkers.total_queue import END, SHOWN
from jepsenvm.history.nemesis_records import HEAL, HEALED, IN_FORCE, INJECT
from jepsenvm.history.op import Op
from jepsenvm.history.units import SECOND
from tests.unit.builders import DRAIN, fault_records, published, recovery_record
from tests.unit.checkers.whole_results import whole, whole_of_journal


def got(*values: Any, by: int = 2, data: Any = None, begin: float = 10.0) -> list[Op]:
    """Return deliveries to one consumer, one in each tenth of a second."""
    return [
        Op("ok", "dequeue", value, by, int((begin + index / 10) * SECOND), f"n{by}", data=data)
        for index, value in enumerate(values)
    ]


def drained(*values: Any, by: int = 99) -> list[Op]:
    return [DRAIN[0], *got(*values, by=by, begin=90), DRAIN[1]]


def test_deliveries_out_of_order() -> None:
    assert whole(
        order,
        published("a", "b", "c", "d", process=1),
        published("x", "y", process=5),
        got("b", "a", "y", "d", "x", "c"),
        drained(),
    ) == (
        "invalid",
        ["3 deliveries are out of order: first a after b, which process 1 published later"],
        {
            "attempt-count": 6,
            "acknowledged-count": 6,
            "ok-count": 6,
            "dequeued-count": 6,
            "load-acknowledged-count": 6,
            "lost-count": 0,
            "lost": [],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "compared-count": 4,
            "out-of-order-count": 3,
            "out-of-order": [["a", "b"], ["x", "y"], ["c", "d"]],
            "excused-count": 0,
            "two-active-count": 0,
            "two-active": [],
        },
    )


def test_one_delivery_out_of_order_in_a_journal() -> None:
    assert whole_of_journal(order, published(1, 2, 3), got(2, 1, 3), drained()) == (
        "invalid",
        ["1 delivery is out of order: first 1 after 2, which process 0 published later"],
        {
            "attempt-count": 3,
            "acknowledged-count": 3,
            "ok-count": 3,
            "dequeued-count": 3,
            "load-acknowledged-count": 3,
            "lost-count": 0,
            "lost": [],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "compared-count": 2,
            "out-of-order-count": 1,
            "out-of-order": [[1, 2]],
            "excused-count": 0,
            "two-active-count": 0,
            "two-active": [],
        },
    )


def test_redelivered_and_repeated_deliveries_are_excused() -> None:
    again = {"redelivered": True}
    assert whole(
        order,
        published(1, 2, 3, 4),
        got(1, 3, 1),
        got(2, data=again),
        got(4, data={"redelivered": "yes"}),
        got(3),
        got(3, by=3),
        drained(),
    ) == (
        "valid",
        [],
        {
            "attempt-count": 4,
            "acknowledged-count": 4,
            "ok-count": 4,
            "dequeued-count": 7,
            "load-acknowledged-count": 4,
            "lost-count": 0,
            "lost": [],
            "duplicated-count": 3,
            "duplicated": [1, 3, 3],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "compared-count": 2,
            "out-of-order-count": 0,
            "out-of-order": [],
            "excused-count": 3,
            "two-active-count": 0,
            "two-active": [],
        },
    )


def test_values_that_were_published_twice_are_not_compared() -> None:
    assert whole(order, published(1, 2, 1, 3), got(3, 1, 1, 2), drained())[:2] == (
        "invalid",
        ["1 delivery is out of order: first 2 after 3, which process 0 published later"],
    )


def test_consumers_are_not_compared_with_each_other_but_the_drain_is_with_all() -> None:
    assert whole(
        order,
        published(1, 2, 3, 4, 5, 6),
        got(2, 3, by=2),
        got(1, 4, by=3),
        drained(6, 5),
        published(7, 8),
    ) == (
        "invalid",
        [
            "1 delivery is out of order: first 5 after 6, which process 0 published later",
            "2 messages were lost: confirmed by unnamed nodes between 0.0 s and 0.0 "
            "s, 2 without any fault",
        ],
        {
            "attempt-count": 8,
            "acknowledged-count": 8,
            "ok-count": 6,
            "dequeued-count": 6,
            "load-acknowledged-count": 8,
            "lost-count": 2,
            "lost": [7, 8],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "compared-count": 4,
            "out-of-order-count": 1,
            "out-of-order": [[5, 6]],
            "excused-count": 0,
            "two-active-count": 0,
            "two-active": [],
        },
    )
    assert whole(order, published(1, 2, 3, 4), got(2, 4, by=2), got(1, by=3), drained(3)) == (
        "invalid",
        ["1 delivery is out of order: first 3 after 4, which process 0 published later"],
        {
            "attempt-count": 4,
            "acknowledged-count": 4,
            "ok-count": 4,
            "dequeued-count": 4,
            "load-acknowledged-count": 4,
            "lost-count": 0,
            "lost": [],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "compared-count": 2,
            "out-of-order-count": 1,
            "out-of-order": [[3, 4]],
            "excused-count": 0,
            "two-active-count": 0,
            "two-active": [],
        },
    )


def test_a_consumer_of_the_load_goes_on_during_the_drain() -> None:
    begin, end = DRAIN
    assert whole(
        order,
        published(1, 2, 3, 4, 5),
        got(3, by=2),
        got(2, by=4),
        [begin],
        got(1, by=4),
        got(5, by=98),
        got(4, by=99),
        [end],
    ) == (
        "invalid",
        ["1 delivery is out of order: first 1 after 2, which process 0 published later"],
        {
            "attempt-count": 5,
            "acknowledged-count": 5,
            "ok-count": 5,
            "dequeued-count": 5,
            "load-acknowledged-count": 5,
            "lost-count": 0,
            "lost": [],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "compared-count": 3,
            "out-of-order-count": 1,
            "out-of-order": [[1, 2]],
            "excused-count": 0,
            "two-active-count": 0,
            "two-active": [],
        },
    )


def test_an_unfinished_drain_has_all_later_deliveries() -> None:
    assert whole(order, published(1, 2, 3), got(3), [DRAIN[0]], got(1, by=99))[:2] == (
        "invalid",
        [
            "1 delivery is out of order: first 1 after 3, which process 0 published later",
            "a drain did not finish: 1 acknowledged message is undecided, neither "
            "delivered nor proven to be lost",
        ],
    )


def test_two_drains_and_deliveries_after_them() -> None:
    assert whole(order, published(1, 2, 3, 4), got(4), drained(1), drained(2), got(3, by=99))[
        :2
    ] == ("valid", [])


def test_no_order_was_tested() -> None:
    assert whole(order, published(1, 2), drained(1, 2)) == (
        "valid",
        [],
        {
            "attempt-count": 2,
            "acknowledged-count": 2,
            "ok-count": 2,
            "dequeued-count": 2,
            "load-acknowledged-count": 2,
            "lost-count": 0,
            "lost": [],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "compared-count": 0,
            "out-of-order-count": 0,
            "out-of-order": [],
            "excused-count": 0,
            "two-active-count": 0,
            "two-active": [],
        },
    )
    assert whole(order) == (
        "unknown",
        ["the queue was never drained"],
        {
            "attempt-count": 0,
            "acknowledged-count": 0,
            "ok-count": 0,
            "dequeued-count": 0,
            "load-acknowledged-count": 0,
            "lost-count": 0,
            "lost": [],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "compared-count": 0,
            "out-of-order-count": 0,
            "out-of-order": [],
            "excused-count": 0,
            "two-active-count": 0,
            "two-active": [],
        },
    )


def test_a_copy_of_the_latest_message_needs_no_excuse() -> None:
    assert whole(order, published(1), got(1, 1), drained())[2]["excused-count"] == 0


def test_a_drain_after_the_first_message_only() -> None:
    assert whole(order, published(1, 2), got(1), drained(2))[2]["compared-count"] == 1


def test_two_drains_of_the_same_process() -> None:
    load = [*published(1, 2, 3), *got(3)]
    assert [
        whole(order, load, drained(1), drained(2))[:2],
        whole(order, load, drained(2), [DRAIN[0]], got(1, by=99))[:2],
    ] == [
        (
            "invalid",
            ["2 deliveries are out of order: first 1 after 3, which process 0 published later"],
        ),
        (
            "invalid",
            [
                "2 deliveries are out of order: first 2 after 3, which process 0 published later",
                "a drain did not finish",
            ],
        ),
    ]


@pytest.mark.parametrize("surplus", [0, 1])
def test_a_thousand_deliveries_out_of_order_are_shown(surplus: int) -> None:
    number = SHOWN + surplus
    backwards = range(number, -1, -1)
    figures = whole_of_journal(order, published(*range(number + 1)), got(*backwards), drained())[2]
    assert figures["out-of-order-count"] == number
    assert figures["out-of-order"] == [[value, number] for value in backwards[1:]][:SHOWN]


single = partial(order, single_active=True)


def phases(number: int, *seconds: float) -> list[Op]:
    times = dict(zip((INJECT, IN_FORCE, HEAL, HEALED), seconds, strict=False))
    records = {phase: int(second * SECOND) for phase, second in times.items()}
    return fault_records(records, number=number, fault={"name": "p", "text": "t"})


def test_two_consumers_active_at_once() -> None:
    assert whole(
        single,
        published(*range(12)),
        got(0, 1, by=2, begin=1),
        got(2, by=3, begin=2),
        got(3, 4, 5, by=2, begin=3),
        got(6, 7, 8, by=3, begin=4.04),
        got(9, by=7, begin=5),
        got(10, 11, by=2, begin=6),
        drained(),
    ) == (
        "invalid",
        [
            "two consumers were active at once: process 2 on n2 and process 3 on n3 "
            "took 2 turns between 3.1 s and 4.1 s, and 1 more pair"
        ],
        {
            "attempt-count": 12,
            "acknowledged-count": 12,
            "ok-count": 12,
            "dequeued-count": 12,
            "load-acknowledged-count": 12,
            "lost-count": 0,
            "lost": [],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "compared-count": 11,
            "out-of-order-count": 0,
            "out-of-order": [],
            "excused-count": 0,
            "two-active-count": 3,
            "two-active": [
                {
                    "consumers": [2, 3],
                    "nodes": ["n2", "n3"],
                    "first": 3.1,
                    "last": 4.14,
                    "turns": 2,
                },
                {"consumers": [2, 7], "nodes": ["n2", "n7"], "first": 6.1, "last": 6.1, "turns": 1},
            ],
        },
    )


def test_one_turn_of_two_active_consumers_is_enough() -> None:
    assert whole(single, published(*range(4)), got(0), got(1, by=3), got(2, 3), drained())[:2] == (
        "invalid",
        [
            "two consumers were active at once: process 2 on n2 and process 3 on n3 "
            "took 1 turn between 10.1 s and 10.1 s"
        ],
    )


def test_stragglers_are_excused_up_to_the_prefetch() -> None:
    assert whole(
        partial(order, single_active=True, prefetch=3),
        published(*range(8)),
        got(0, by=2, begin=1),
        got(4, by=3, begin=2),
        got(1, 2, by=2, begin=3),
        got(5, by=3, begin=4),
        got(3, by=2, begin=5),
        got(7, by=3, begin=6),
        got(6, by=2, begin=7),
        drained(),
    ) == (
        "invalid",
        [
            "1 delivery is out of order: first 6 after 7, which process 0 published later",
            "two consumers were active at once: process 2 on n2 and process 3 on n3 "
            "took 1 turn between 7.0 s and 7.0 s",
        ],
        {
            "attempt-count": 8,
            "acknowledged-count": 8,
            "ok-count": 8,
            "dequeued-count": 8,
            "load-acknowledged-count": 8,
            "lost-count": 0,
            "lost": [],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "compared-count": 7,
            "out-of-order-count": 1,
            "out-of-order": [[6, 7]],
            "excused-count": 3,
            "two-active-count": 1,
            "two-active": [
                {"consumers": [2, 3], "nodes": ["n2", "n3"], "first": 7.0, "last": 7.0, "turns": 1}
            ],
        },
    )


def test_a_straggler_behind_an_earlier_delivery_to_its_consumer_is_out_of_order() -> None:
    assert whole(
        partial(order, single_active=True, prefetch=2),
        published(*range(4)),
        got(1, by=2, begin=1),
        got(3, by=3, begin=2),
        got(0, 2, by=2, begin=3),
        drained(),
    ) == (
        "invalid",
        ["1 delivery is out of order: first 0 after 1, which process 0 published later"],
        {
            "attempt-count": 4,
            "acknowledged-count": 4,
            "ok-count": 4,
            "dequeued-count": 4,
            "load-acknowledged-count": 4,
            "lost-count": 0,
            "lost": [],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "compared-count": 3,
            "out-of-order-count": 1,
            "out-of-order": [[0, 1]],
            "excused-count": 1,
            "two-active-count": 0,
            "two-active": [],
        },
    )


def test_turns_after_a_fault() -> None:
    assert whole(
        single,
        published(*range(14)),
        got(0, by=2, begin=1),
        got(1, by=3, begin=2),
        phases(1, 2.5),
        got(2, 3, by=2, begin=3),
        got(4, 5, by=3, begin=4),
        got(6, 7, by=2, begin=5),
        got(8, 9, by=3, begin=6),
        got(10, by=2, begin=7),
        drained(),
    ) == (
        "invalid",
        [
            "two consumers were active at once: process 2 on n2 and process 3 on n3 "
            "took 2 turns between 5.1 s and 6.1 s",
            "3 messages were lost: confirmed by unnamed nodes between 0.0 s and 0.0 "
            "s, 3 before any fault",
        ],
        {
            "attempt-count": 14,
            "acknowledged-count": 14,
            "ok-count": 11,
            "dequeued-count": 11,
            "load-acknowledged-count": 14,
            "lost-count": 3,
            "lost": [11, 12, 13],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "compared-count": 10,
            "out-of-order-count": 0,
            "out-of-order": [],
            "excused-count": 0,
            "two-active-count": 2,
            "two-active": [
                {"consumers": [2, 3], "nodes": ["n2", "n3"], "first": 5.1, "last": 6.1, "turns": 2}
            ],
        },
    )


def test_each_change_of_a_fault_begins_an_epoch() -> None:
    assert whole(
        single,
        published(*range(14)),
        phases(1, 1.5, 2.5, 3.5, 4.1),
        got(0, by=2, begin=1),
        got(1, by=3, begin=2),
        got(2, 3, by=2, begin=3),
        got(4, 5, by=3, begin=4),
        got(6, 7, by=2, begin=5),
        got(8, 9, by=3, begin=6),
        got(10, 11, by=2, begin=7),
        got(12, 13, by=3, begin=8),
        drained(),
    ) == (
        "invalid",
        [
            "two consumers were active at once: process 2 on n2 and process 3 on n3 "
            "took 3 turns between 6.1 s and 8.1 s"
        ],
        {
            "attempt-count": 14,
            "acknowledged-count": 14,
            "ok-count": 14,
            "dequeued-count": 14,
            "load-acknowledged-count": 14,
            "lost-count": 0,
            "lost": [],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "compared-count": 13,
            "out-of-order-count": 0,
            "out-of-order": [],
            "excused-count": 0,
            "two-active-count": 3,
            "two-active": [
                {"consumers": [2, 3], "nodes": ["n2", "n3"], "first": 6.1, "last": 8.1, "turns": 3}
            ],
        },
    )


def test_an_overlap_of_consumers_without_nodes() -> None:
    ops = [*got(0, by=2), *got(1, by=3), *got(2, 3, by=2), *got(4, 5, by=3)]
    nameless = [Op(op.type, op.f, op.value, op.process, op.time) for op in ops]
    assert whole(single, published(*range(6)), nameless, drained())[:2] == (
        "invalid",
        [
            "two consumers were active at once: process 2 and process 3 took 2 turns "
            "between 10.1 s and 10.1 s"
        ],
    )


def read(*records: tuple[int | None, Any], by: int = 10) -> list[Op]:
    """Return the reads of one reader, (offset, value) each."""
    return [
        op
        for offset, value in records
        for op in (Op("invoke", "read", process=by), Op("ok", "read", value, by, offset=offset))
    ]


def end(offset: int, by: int = 10, type_: Any = "ok") -> list[Op]:
    return [Op(type_, "end", process=by, offset=offset)]


def test_a_stream_with_every_violation() -> None:
    bad = {"corrupted": True, "problem": "byte 3 differs"}
    assert whole(
        stream,
        published("a", "b", "c", "d", "lost", node="n1"),
        published("r", end="info", process=4),
        published(END, process=3),
        read((0, "b"), (1, "a"), (2, "c"), (4, "d"), (3, "c"), (5, "ghost"), (6, "r"), (8, END)),
        end(8),
        read(
            (0, "b"),
            (1, "a"),
            (2, "x"),
            (4, "d"),
            (5, "ghost"),
            (6, "r"),
            (6, "r"),
            (8, END),
            by=11,
        ),
        [Op("ok", "read", "d", 11, node="n2", data=bad, offset=9)],
        end(8, by=11),
    ) == (
        "invalid",
        [
            "1 delivery is corrupted: the body differs from the sent body, first "
            "byte 3 differs (n2)",
            "2 messages were lost: confirmed by n1 between 0.0 s and 0.0 s, 2 without any fault",
            "2 offsets are divergent: the readers differ there",
            "2 reads are nonmonotonic: at an offset no higher than an earlier read "
            "of the same reader",
            "1 message is out of order: at a higher offset than a message that the "
            "same process published later",
            "2 messages are unexpected: read, but never sent by any process",
        ],
        {
            "attempt-count": 7,
            "acknowledged-count": 6,
            "load-acknowledged-count": 5,
            "read-count": 16,
            "record-count": 9,
            "out-of-order-count": 1,
            "out-of-order": [["a", "b"]],
            "unexpected-count": 2,
            "unexpected": ["ghost", "x"],
            "duplicated-count": 1,
            "duplicated": ["c"],
            "recovered-count": 1,
            "recovered": ["r"],
            "lost-count": 2,
            "lost": ["c", "lost"],
            "divergent-count": 2,
            "divergent": [2, 3],
            "nonmonotonic-count": 2,
            "nonmonotonic": [[10, 3], [11, 6]],
            "undecided-count": 0,
            "undecided": [],
            "corrupted-count": 1,
            "corrupted": ["byte 3 differs (n2)"],
            "unfinished": [],
            "unread": [],
            "readers": [
                {"process": 10, "read-count": 8, "last": 8, "end": 8},
                {"process": 11, "read-count": 8, "last": 8, "end": 8},
            ],
        },
    )


def test_a_stream_with_one_of_each() -> None:
    assert whole(
        stream,
        published("a", "b", "lost"),
        read((0, "b"), (1, "a"), (2, "x"), (2, "x")),
        end(2),
        read((0, "b"), (1, "a"), by=11),
        read((2, "y"), by=11),
        end(2, by=11),
    ) == (
        "invalid",
        [
            "1 message was lost: acknowledged, but missing from a reader that read to the end",
            "1 offset is divergent: the readers differ there",
            "1 read is nonmonotonic: at an offset no higher than an earlier read of "
            "the same reader",
            "1 message is out of order: at a higher offset than a message that the "
            "same process published later",
            "2 messages are unexpected: read, but never sent by any process",
        ],
        {
            "attempt-count": 3,
            "acknowledged-count": 3,
            "load-acknowledged-count": 3,
            "read-count": 7,
            "record-count": 4,
            "out-of-order-count": 1,
            "out-of-order": [["a", "b"]],
            "unexpected-count": 2,
            "unexpected": ["x", "y"],
            "duplicated-count": 0,
            "duplicated": [],
            "recovered-count": 0,
            "recovered": [],
            "lost-count": 1,
            "lost": ["lost"],
            "divergent-count": 1,
            "divergent": [2],
            "nonmonotonic-count": 1,
            "nonmonotonic": [[10, 2]],
            "undecided-count": 0,
            "undecided": [],
            "corrupted-count": 0,
            "corrupted": [],
            "unfinished": [],
            "unread": [],
            "readers": [
                {"process": 10, "read-count": 4, "last": 2, "end": 2},
                {"process": 11, "read-count": 3, "last": 2, "end": 2},
            ],
        },
    )


def test_a_valid_stream() -> None:
    assert whole_of_journal(
        stream, published(1, 2, 3, END), read((0, 1), (1, 2), (5, 3), (6, END)), end(6)
    ) == (
        "valid",
        [],
        {
            "attempt-count": 4,
            "acknowledged-count": 4,
            "load-acknowledged-count": 3,
            "read-count": 4,
            "record-count": 4,
            "out-of-order-count": 0,
            "out-of-order": [],
            "unexpected-count": 0,
            "unexpected": [],
            "duplicated-count": 0,
            "duplicated": [],
            "recovered-count": 0,
            "recovered": [],
            "lost-count": 0,
            "lost": [],
            "divergent-count": 0,
            "divergent": [],
            "nonmonotonic-count": 0,
            "nonmonotonic": [],
            "undecided-count": 0,
            "undecided": [],
            "corrupted-count": 0,
            "corrupted": [],
            "unfinished": [],
            "unread": [],
            "readers": [{"process": 10, "read-count": 4, "last": 6, "end": 6}],
        },
    )


def test_a_journal_of_a_stream() -> None:
    assert whole_of_journal(
        stream, published(1, 2, 3, END), read((0, 2), (1, 1), (5, 4), (6, END)), end(6)
    ) == (
        "invalid",
        [
            "1 message was lost: acknowledged, but missing from a reader that read to the end",
            "1 message is out of order: at a higher offset than a message that the "
            "same process published later",
            "1 message is unexpected: read, but never sent by any process",
        ],
        {
            "attempt-count": 4,
            "acknowledged-count": 4,
            "load-acknowledged-count": 3,
            "read-count": 4,
            "record-count": 4,
            "out-of-order-count": 1,
            "out-of-order": [[1, 2]],
            "unexpected-count": 1,
            "unexpected": [4],
            "duplicated-count": 0,
            "duplicated": [],
            "recovered-count": 0,
            "recovered": [],
            "lost-count": 1,
            "lost": [3],
            "divergent-count": 0,
            "divergent": [],
            "nonmonotonic-count": 0,
            "nonmonotonic": [],
            "undecided-count": 0,
            "undecided": [],
            "corrupted-count": 0,
            "corrupted": [],
            "unfinished": [],
            "unread": [],
            "readers": [{"process": 10, "read-count": 4, "last": 6, "end": 6}],
        },
    )


def test_readers_that_did_not_read_to_the_end() -> None:
    assert whole(
        stream,
        published(1, 2, 3),
        read((0, 1)),
        end(2),
        read((0, 1), (1, 2), by=11),
        read((0, 1), (1, 2), by=12),
        end(1, by=12),
        end(1, by=12, type_="info"),
        read((0, 1), (1, 2), by=13),
        end(1, by=13, type_="fail"),
        [Op("invoke", "read", process=14)],
    ) == (
        "unknown",
        [
            "reader 10 read to offset 0, but the stream's end is 2",
            "reader 11 did not finish",
            "reader 12 did not finish",
            "reader 13 did not finish",
            "reader 14 did not finish: 3 acknowledged messages are undecided",
        ],
        {
            "attempt-count": 3,
            "acknowledged-count": 3,
            "load-acknowledged-count": 3,
            "read-count": 7,
            "record-count": 2,
            "out-of-order-count": 0,
            "out-of-order": [],
            "unexpected-count": 0,
            "unexpected": [],
            "duplicated-count": 0,
            "duplicated": [],
            "recovered-count": 0,
            "recovered": [],
            "lost-count": 0,
            "lost": [],
            "divergent-count": 0,
            "divergent": [],
            "nonmonotonic-count": 0,
            "nonmonotonic": [],
            "undecided-count": 3,
            "undecided": [1, 2, 3],
            "corrupted-count": 0,
            "corrupted": [],
            "unfinished": [11, 12, 13, 14],
            "unread": [10],
            "readers": [
                {"process": 10, "read-count": 1, "last": 0, "end": 2},
                {"process": 11, "read-count": 2, "last": 1, "end": None},
                {"process": 12, "read-count": 2, "last": 1, "end": None},
                {"process": 13, "read-count": 2, "last": 1, "end": None},
                {"process": 14, "read-count": 0, "last": -1, "end": None},
            ],
        },
    )


def test_one_undecided_message_of_a_reader_that_did_not_finish() -> None:
    assert whole(stream, published(1, 2), read((0, 1)))[:2] == (
        "unknown",
        ["reader 10 did not finish: 1 acknowledged message is undecided"],
    )


def test_a_message_that_one_reader_lost_and_another_did_not_reach() -> None:
    assert whole(
        stream, published(1, 2, 3), read((0, 1), (2, 3)), end(2), read((0, 1), by=11), end(2, by=11)
    )[:2] == (
        "invalid",
        [
            "1 message was lost: acknowledged, but missing from a reader that read to the end",
            "reader 11 read to offset 0, but the stream's end is 2: 1 acknowledged "
            "message is undecided",
        ],
    )


def test_a_stream_without_readers() -> None:
    assert whole(stream, published(1, 2)) == (
        "unknown",
        ["no process read the stream: 2 acknowledged messages are undecided"],
        {
            "attempt-count": 2,
            "acknowledged-count": 2,
            "load-acknowledged-count": 2,
            "read-count": 0,
            "record-count": 0,
            "out-of-order-count": 0,
            "out-of-order": [],
            "unexpected-count": 0,
            "unexpected": [],
            "duplicated-count": 0,
            "duplicated": [],
            "recovered-count": 0,
            "recovered": [],
            "lost-count": 0,
            "lost": [],
            "divergent-count": 0,
            "divergent": [],
            "nonmonotonic-count": 0,
            "nonmonotonic": [],
            "undecided-count": 2,
            "undecided": [1, 2],
            "corrupted-count": 0,
            "corrupted": [],
            "unfinished": [],
            "unread": [],
            "readers": [],
        },
    )
    assert whole(stream) == (
        "unknown",
        ["no process read the stream"],
        {
            "attempt-count": 0,
            "acknowledged-count": 0,
            "load-acknowledged-count": 0,
            "read-count": 0,
            "record-count": 0,
            "out-of-order-count": 0,
            "out-of-order": [],
            "unexpected-count": 0,
            "unexpected": [],
            "duplicated-count": 0,
            "duplicated": [],
            "recovered-count": 0,
            "recovered": [],
            "lost-count": 0,
            "lost": [],
            "divergent-count": 0,
            "divergent": [],
            "nonmonotonic-count": 0,
            "nonmonotonic": [],
            "undecided-count": 0,
            "undecided": [],
            "corrupted-count": 0,
            "corrupted": [],
            "unfinished": [],
            "unread": [],
            "readers": [],
        },
    )


def test_an_empty_stream() -> None:
    assert whole(stream, end(-1))[:2] == ("valid", [])
    assert whole(stream, published(1), end(-1))[:2] == (
        "invalid",
        ["1 message was lost: acknowledged, but missing from a reader that read to the end"],
    )


def test_records_without_an_offset() -> None:
    assert whole(stream, published(1, 2), read((0, 1), (None, 2)), end(0)) == (
        "unknown",
        ["1 record was read without a known offset"],
        {
            "attempt-count": 2,
            "acknowledged-count": 2,
            "load-acknowledged-count": 2,
            "read-count": 2,
            "record-count": 1,
            "out-of-order-count": 0,
            "out-of-order": [],
            "unexpected-count": 0,
            "unexpected": [],
            "duplicated-count": 0,
            "duplicated": [],
            "recovered-count": 0,
            "recovered": [],
            "lost-count": 0,
            "lost": [],
            "divergent-count": 0,
            "divergent": [],
            "nonmonotonic-count": 0,
            "nonmonotonic": [],
            "undecided-count": 0,
            "undecided": [],
            "corrupted-count": 0,
            "corrupted": [],
            "unfinished": [],
            "unread": [],
            "readers": [{"process": 10, "read-count": 2, "last": 0, "end": 0}],
        },
    )
    assert whole(stream, published(1), read((None, 1), (None, 1)), end(-1))[:2] == (
        "unknown",
        ["2 records were read without a known offset"],
    )


def test_a_message_that_was_acknowledged_twice_must_be_there_twice() -> None:
    assert whole(stream, published(1, 1, 2), read((0, 1), (0, 1), (2, 2)), end(2)) == (
        "invalid",
        [
            "1 message was lost: acknowledged, but missing from a reader that read to the end",
            "1 read is nonmonotonic: at an offset no higher than an earlier read of "
            "the same reader",
        ],
        {
            "attempt-count": 3,
            "acknowledged-count": 3,
            "load-acknowledged-count": 3,
            "read-count": 3,
            "record-count": 2,
            "out-of-order-count": 0,
            "out-of-order": [],
            "unexpected-count": 0,
            "unexpected": [],
            "duplicated-count": 0,
            "duplicated": [],
            "recovered-count": 0,
            "recovered": [],
            "lost-count": 1,
            "lost": [1],
            "divergent-count": 0,
            "divergent": [],
            "nonmonotonic-count": 1,
            "nonmonotonic": [[10, 0]],
            "undecided-count": 0,
            "undecided": [],
            "corrupted-count": 0,
            "corrupted": [],
            "unfinished": [],
            "unread": [],
            "readers": [{"process": 10, "read-count": 3, "last": 2, "end": 2}],
        },
    )


def test_duplicates_in_a_stream_are_allowed() -> None:
    assert whole(stream, published(1, 2), read((0, 1), (1, 2), (2, 1), (3, 1)), end(3)) == (
        "valid",
        [],
        {
            "attempt-count": 2,
            "acknowledged-count": 2,
            "load-acknowledged-count": 2,
            "read-count": 4,
            "record-count": 4,
            "out-of-order-count": 0,
            "out-of-order": [],
            "unexpected-count": 0,
            "unexpected": [],
            "duplicated-count": 2,
            "duplicated": [1, 1],
            "recovered-count": 0,
            "recovered": [],
            "lost-count": 0,
            "lost": [],
            "divergent-count": 0,
            "divergent": [],
            "nonmonotonic-count": 0,
            "nonmonotonic": [],
            "undecided-count": 0,
            "undecided": [],
            "corrupted-count": 0,
            "corrupted": [],
            "unfinished": [],
            "unread": [],
            "readers": [{"process": 10, "read-count": 4, "last": 3, "end": 3}],
        },
    )


def test_a_restart_of_every_replica_of_a_stream() -> None:
    record = recovery_record(6, restarted=["n1"], replicas=["n1"])
    assert whole(
        stream,
        published(1, 2, 3),
        [record],
        read((0, 2)),
        end(0),
        read((0, 2), by=11),
        end(4, by=11),
    ) == (
        "unknown",
        [
            "jepsenvm restarted every node with a replica (n1) before the drain",
            "reader 11 read to offset 0, but the stream's end is 4: 2 acknowledged "
            "messages are undecided",
        ],
        {
            "attempt-count": 3,
            "acknowledged-count": 3,
            "load-acknowledged-count": 3,
            "read-count": 2,
            "record-count": 1,
            "out-of-order-count": 0,
            "out-of-order": [],
            "unexpected-count": 0,
            "unexpected": [],
            "duplicated-count": 0,
            "duplicated": [],
            "recovered-count": 0,
            "recovered": [],
            "lost-count": 0,
            "lost": [],
            "divergent-count": 0,
            "divergent": [],
            "nonmonotonic-count": 0,
            "nonmonotonic": [],
            "undecided-count": 2,
            "undecided": [1, 3],
            "corrupted-count": 0,
            "corrupted": [],
            "unfinished": [],
            "unread": [11],
            "readers": [
                {"process": 10, "read-count": 1, "last": 0, "end": 0},
                {"process": 11, "read-count": 1, "last": 0, "end": 4},
            ],
        },
    )
    assert whole(stream, published(1), [record], read((0, 1)), end(0))[:2] == ("valid", [])


@pytest.mark.parametrize("surplus", [0, 1])
def test_a_thousand_entries_of_a_stream_are_shown(surplus: int) -> None:
    number = SHOWN + surplus
    figures = whole_of_journal(
        stream,
        published(*range(number)),
        read((0, 5000)),
        end(0),
    )[2]
    assert (figures["lost-count"], figures["lost"]) == (number, list(range(SHOWN)))
