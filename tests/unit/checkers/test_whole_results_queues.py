"""Queues and streams: everything that their checkers say about each kind of history."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from jepsenvm.checkers.dead_letter import dead_letter
from jepsenvm.checkers.foreign_queue import foreign_queue
from jepsenvm.checkers.redelivery import redelivery
from jepsenvm.checkers.total_queue import END, SHOWN, total_queue
from jepsenvm.history.nemesis_records import HEAL, HEALED, IN_FORCE, INJECT, VIEW
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.units import SECOND
from tests.unit.builders import (
    DRAIN,
    PARTITION,
    delivered,
    fault_records,
    published,
    recovery_record,
)
from tests.unit.builders import op_at as at
from tests.unit.checkers.whole_results import whole, whole_of_journal

GRUDGE = {"n1": ["n2", "n3"], "n2": ["n1"], "n3": ["n1"]}
SPLIT = {**PARTITION, "kind": "partition", "grudge": GRUDGE, "nodes": ["n1"]}


def confirmed(second: float, value: Any, node: str | None = None, process: int = 1) -> list[Op]:
    """Return an enqueue that was confirmed at this second, a tenth after its invocation."""
    return [
        at(second - 0.1, process, "invoke", "enqueue", value, node),
        at(second, process, "ok", "enqueue", value, node),
    ]


def got(
    second: float, value: Any, process: int = 2, node: str | None = None, data: Any = None
) -> list[Op]:
    """Return a delivery of a value at this second."""
    return [Op("ok", "dequeue", value, process, int(second * SECOND), node, data=data)]


def fault(number: int, *seconds: float, fault: Any = SPLIT, **data: Any) -> list[Op]:
    """Return the records of a fault, at the seconds of its phases."""
    phases = (INJECT, IN_FORCE, HEAL, HEALED)
    times = {phase: int(second * SECOND) for phase, second in zip(phases, seconds, strict=False)}
    return fault_records(times, number=number, fault=fault, **data)


def drained(second: float = 99, **data: Any) -> list[Op]:
    return [
        at(second - 1, 99, "invoke", "drain"),
        Op("ok", "drain", None, 99, int(second * SECOND), data={"received": 0, **data}),
    ]


def by_time(*parts: list[Op]) -> list[Op]:
    return sorted((op for part in parts for op in part), key=lambda op: op.time)


def test_every_kind_of_message() -> None:
    assert whole(
        total_queue,
        confirmed(1, "a", "n1"),
        confirmed(2, "b", "n2"),
        confirmed(3.04, "c", "n1"),
        confirmed(3.5, END, "n1"),
        [at(4, 1, "invoke", "enqueue", "r", "n1"), at(4, 1, "info", "enqueue", "r", "n1")],
        [at(4, 1, "invoke", "enqueue", "f", "n1"), at(4, 1, "fail", "enqueue", "f", "n1")],
        got(5, "b"),
        got(5, "b"),
        got(5, "b"),
        got(5, "r"),
        got(5, "wtf"),
        got(5, "wtf"),
        got(5, "ghost"),
        got(6, END),
        DRAIN,
    ) == (
        "invalid",
        [
            "2 messages were lost: confirmed by n1 between 1.0 s and 3.0 s, 2 without any fault",
            "3 delivered messages are unexpected: never sent by any process",
        ],
        {
            "attempt-count": 6,
            "acknowledged-count": 4,
            "ok-count": 3,
            "dequeued-count": 8,
            "load-acknowledged-count": 3,
            "lost-count": 2,
            "lost": ["a", "c"],
            "duplicated-count": 2,
            "duplicated": ["b", "b"],
            "unexpected-count": 3,
            "unexpected": ["wtf", "wtf", "ghost"],
            "recovered-count": 1,
            "recovered": ["r"],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
        },
    )


def test_one_message_lost_and_one_invented() -> None:
    assert whole(total_queue, published(1), delivered(2), DRAIN) == (
        "invalid",
        [
            "1 message was lost: acknowledged, but never delivered",
            "1 delivered message is unexpected: never sent by any process",
        ],
        {
            "attempt-count": 1,
            "acknowledged-count": 1,
            "ok-count": 0,
            "dequeued-count": 1,
            "load-acknowledged-count": 1,
            "lost-count": 1,
            "lost": [1],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 1,
            "unexpected": [2],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
        },
    )


def test_a_valid_queue() -> None:
    assert whole(total_queue, published(1, 2), delivered(2, 1), DRAIN) == (
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
        },
    )


def test_copies_of_one_value_are_counted() -> None:
    assert whole(
        total_queue,
        published(1, 1, 1, 2, 2, 4),
        published(3, 3, end="info"),
        delivered(1, 2, 2, 3, 3, 3),
        delivered(5, 5),
        DRAIN,
    ) == (
        "invalid",
        [
            "3 messages were lost: acknowledged, but never delivered",
            "2 delivered messages are unexpected: never sent by any process",
        ],
        {
            "attempt-count": 8,
            "acknowledged-count": 6,
            "ok-count": 5,
            "dequeued-count": 8,
            "load-acknowledged-count": 6,
            "lost-count": 3,
            "lost": [1, 1, 4],
            "duplicated-count": 1,
            "duplicated": [3],
            "unexpected-count": 2,
            "unexpected": [5, 5],
            "recovered-count": 2,
            "recovered": [3, 3],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
        },
    )


def test_a_journal_of_own_numbers() -> None:
    assert whole_of_journal(
        total_queue,
        published(1, 2, 3, END, node="n2"),
        published(7, end="info"),
        delivered(2, 2, 7, 9, END),
        delivered(1 << 50),
        DRAIN,
    ) == (
        "invalid",
        [
            "2 messages were lost: confirmed by n2 between 0.0 s and 0.0 s, 2 without any fault",
            "2 delivered messages are unexpected: never sent by any process",
        ],
        {
            "attempt-count": 5,
            "acknowledged-count": 4,
            "ok-count": 3,
            "dequeued-count": 6,
            "load-acknowledged-count": 3,
            "lost-count": 2,
            "lost": [1, 3],
            "duplicated-count": 1,
            "duplicated": [2],
            "unexpected-count": 2,
            "unexpected": [9, 1125899906842624],
            "recovered-count": 1,
            "recovered": [7],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
        },
    )


@pytest.mark.parametrize("surplus", [0, 1, 7])
def test_at_most_a_thousand_values_are_shown(surplus: int) -> None:
    number = SHOWN + surplus
    verdict, reasons, figures = whole_of_journal(
        total_queue, published(*range(number)), delivered(*range(5000, 5000 + number)), DRAIN
    )
    assert verdict == "invalid"
    assert reasons == [
        f"{number:,} messages were lost: acknowledged, but never delivered",
        f"{number:,} delivered messages are unexpected: never sent by any process",
    ]
    assert (figures["lost-count"], figures["unexpected-count"]) == (number, number)
    assert figures["lost"] == list(range(SHOWN))
    assert figures["unexpected"] == list(range(5000, 5000 + SHOWN))


def test_a_thousand_copies_are_shown_and_those_of_the_least_value_first() -> None:
    figures = whole_of_journal(
        total_queue, published(1, 2, 3), delivered(*([3] * 900), *([2] * 600), 1, 1), DRAIN
    )[2]
    assert figures["duplicated-count"] == 899 + 599 + 1
    assert figures["duplicated"] == [1, *([2] * 599), *([3] * 400)]


@pytest.mark.parametrize("own", [True, False])
def test_corrupted_deliveries(own: bool) -> None:
    function = whole_of_journal if own else whole
    bad = {"corrupted": True, "problem": "byte 3 differs"}
    assert function(
        total_queue,
        published(1, 2, 3),
        got(1, -1, node="n2", data=bad), got(1, 2), got(1, -2, data={"corrupted": True}),
        got(1, 3, data={"corrupted": "yes", "problem": "none"}),
        [Op("info", "dequeue", -4, data=bad), Op("ok", "read", -3, data=bad)],
        [Op("ok", "dequeue", 1, data=["corrupted"])],
        DRAIN,
    ) == (
        "invalid",
        [
            "2 deliveries are corrupted: the body differs from the sent body, first "
            "byte 3 differs (n2)"
        ],
        {
            "attempt-count": 3, "acknowledged-count": 3, "ok-count": 3, "dequeued-count": 3,
            "load-acknowledged-count": 3,
            "lost-count": 0, "lost": [], "duplicated-count": 0, "duplicated": [],
            "unexpected-count": 0, "unexpected": [], "recovered-count": 0, "recovered": [],
            "undecided-count": 0, "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 2,
            "corrupted": ["byte 3 differs (n2)", "with an unknown difference"],
        },
    )  # fmt: skip


def test_a_message_that_came_back_only_corrupted_is_lost() -> None:
    bad = {"corrupted": True, "problem": "x" * 70}
    assert whole(total_queue, published(1), got(1, 1, data=bad), DRAIN) == (
        "invalid",
        [
            "1 message was lost: acknowledged, but never delivered",
            "1 delivery is corrupted: the body differs from the sent body, first "
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...",
        ],
        {
            "attempt-count": 1,
            "acknowledged-count": 1,
            "ok-count": 0,
            "dequeued-count": 0,
            "load-acknowledged-count": 1,
            "lost-count": 1,
            "lost": [1],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 1,
            "corrupted": ["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."],
        },
    )


@pytest.mark.parametrize("surplus", [0, 1])
def test_at_most_a_thousand_corrupted_deliveries_are_shown(surplus: int) -> None:
    data = {"corrupted": True, "problem": "p"}
    many = [op for _ in range(SHOWN + surplus) for op in got(1, -1, data=data)]
    figures = whole_of_journal(total_queue, published(1), delivered(1), many, DRAIN)[2]
    assert figures["corrupted-count"] == SHOWN + surplus
    assert figures["corrupted"] == ["p"] * SHOWN


def undecided(*parts: list[Op], required: bool = True, complete: bool = True) -> Any:
    """Return the verdict, the reasons and the numbers of lost and of undecided messages."""
    checker = partial(total_queue, drain_required=required)
    verdict, reasons, figures = whole(checker, *parts, complete=complete)
    return verdict, reasons, figures["lost-count"], figures["undecided"]


def drain(*types: Any, value: Any = None, process: int = 99) -> list[Op]:
    return [Op(type_, "drain", value, process) for type_ in types]


def test_a_history_that_is_cut_short() -> None:
    assert undecided(published(1, 2), DRAIN, complete=False) == (
        "unknown",
        [
            "the history is cut short: 2 acknowledged messages are undecided, "
            "neither delivered nor proven to be lost"
        ],
        0,
        [1, 2],
    )


def test_a_history_that_is_cut_short_without_a_missing_message() -> None:
    assert undecided(published(1), delivered(1), DRAIN, complete=False) == (
        "unknown",
        ["the history is cut short"],
        0,
        [],
    )


def test_a_drain_that_crashed() -> None:
    assert undecided(published(1), drain("invoke", "info"), drain("invoke", "ok")) == (
        "unknown",
        [
            "a drain crashed: 1 acknowledged message is undecided, neither delivered "
            "nor proven to be lost"
        ],
        0,
        [1],
    )


def test_a_drain_that_did_not_finish() -> None:
    drains = [*drain("invoke", "ok"), *drain("invoke", "fail"), *drain("invoke")]
    assert undecided(published(1), drains) == (
        "unknown",
        [
            "a drain did not finish: 1 acknowledged message is undecided, neither "
            "delivered nor proven to be lost"
        ],
        0,
        [1],
    )


def test_every_drain_failed() -> None:
    assert undecided(published(1), drain("invoke", "fail"), required=False) == (
        "unknown",
        [
            "every drain failed: 1 acknowledged message is undecided, neither "
            "delivered nor proven to be lost"
        ],
        0,
        [1],
    )


def test_one_drain_failed_and_one_was_ok() -> None:
    assert undecided(published(1), drain("invoke", "fail"), DRAIN) == (
        "invalid",
        ["1 message was lost: acknowledged, but never delivered"],
        1,
        [],
    )


def test_no_drain_although_one_is_required() -> None:
    assert undecided(published(1, 2)) == (
        "unknown",
        [
            "the queue was never drained: 2 acknowledged messages are undecided, "
            "neither delivered nor proven to be lost"
        ],
        0,
        [1, 2],
    )


def test_no_drain_where_none_is_required() -> None:
    assert undecided(published(1), required=False) == (
        "invalid",
        ["1 message was lost: acknowledged, but never delivered"],
        1,
        [],
    )


def test_a_drain_without_an_invocation() -> None:
    assert undecided(published(1), DRAIN[1:]) == (
        "invalid",
        ["1 message was lost: acknowledged, but never delivered"],
        1,
        [],
    )


def test_a_drain_with_a_value_that_is_no_collection() -> None:
    assert undecided(published(1), drain("invoke", "ok", value="abc")) == (
        "unknown",
        [
            "the value of a drain is not a collection of messages: 'abc': 1 "
            "acknowledged message is undecided, neither delivered nor proven to be "
            "lost"
        ],
        0,
        [1],
    )


def test_a_drain_with_a_number_as_its_value_and_own_data() -> None:
    assert undecided(published(1), [DRAIN[0], Op("ok", "drain", 5, 99, data={"received": 1})]) == (
        "unknown",
        [
            "the value of a drain is not a collection of messages: 5: 1 acknowledged "
            "message is undecided, neither delivered nor proven to be lost"
        ],
        0,
        [1],
    )


def test_a_drain_without_a_value_and_without_dequeues() -> None:
    assert undecided(published(1), delivered(1), drain("invoke", "ok")) == (
        "unknown",
        ["the value of a drain is not a collection of messages: None"],
        0,
        [],
    )


def test_a_drain_without_a_value_whose_data_says_nothing() -> None:
    ops = [DRAIN[0], Op("ok", "drain", None, 99, data={"other": 1})]
    assert undecided(published(1), ops, delivered(1)) == (
        "unknown",
        ["the value of a drain is not a collection of messages: None"],
        0,
        [],
    )


def test_a_drain_without_a_value_between_dequeues_of_its_own() -> None:
    begin, end = drain("invoke", "ok")
    assert undecided(published(1, 2), [begin], delivered(1), [end]) == (
        "invalid",
        ["1 message was lost: acknowledged, but never delivered"],
        1,
        [],
    )


def test_a_drain_of_groups_of_messages() -> None:
    assert undecided(published(1, 2, 3), drain("invoke"), drain("ok", value=[[1, 2], [3]])) == (
        "unknown",
        [
            "the elements of a drain are not messages as they were sent: [1, 2]: 3 "
            "acknowledged messages are undecided, neither delivered nor proven to be "
            "lost"
        ],
        0,
        [1, 2, 3],
    )


def test_a_drain_of_nil_among_messages() -> None:
    assert undecided(published(1, 2), drain("invoke"), drain("ok", value=[1, None, 2])) == (
        "unknown",
        ["the elements of a drain are not messages as they were sent: None"],
        0,
        [],
    )


def test_a_drain_of_messages_that_are_collections() -> None:
    assert undecided(published([1, 2], [3]), drain("invoke"), drain("ok", value=[[1, 2], [4]])) == (
        "invalid",
        [
            "1 message was lost: acknowledged, but never delivered",
            "1 delivered message is unexpected: never sent by any process",
        ],
        1,
        [],
    )


def test_a_drain_of_text() -> None:
    assert undecided(
        published("ab", b"c"), drain("invoke"), drain("ok", value=["ab", b"c", "d"])
    ) == ("invalid", ["1 delivered message is unexpected: never sent by any process"], 0, [])


def test_an_unexpected_group_beside_one_that_was_never_drained() -> None:
    assert undecided(
        published(1), delivered([9]), drain("invoke"), drain("ok", value=[1, [8]])
    ) == (
        "invalid",
        [
            "1 delivered message is unexpected: never sent by any process",
            "the elements of a drain are not messages as they were sent: [8]",
        ],
        0,
        [],
    )


def test_a_foreign_history_without_a_drain() -> None:
    assert whole(foreign_queue, published(1, 2), delivered(1)) == (
        "unknown",
        [
            "the queue was never drained: 1 acknowledged message is undecided, "
            "neither delivered nor proven to be lost"
        ],
        {
            "attempt-count": 2,
            "acknowledged-count": 2,
            "ok-count": 1,
            "dequeued-count": 1,
            "load-acknowledged-count": 2,
            "lost-count": 0,
            "lost": [],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 1,
            "undecided": [2],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
        },
    )


def test_a_foreign_history_without_a_drain_in_which_all_came_back() -> None:
    assert whole(foreign_queue, published(1), delivered(1))[:2] == ("valid", [])


def test_a_foreign_history_with_a_drain() -> None:
    assert whole(foreign_queue, published(1), DRAIN)[:2] == (
        "invalid",
        ["1 message was lost: acknowledged, but never delivered"],
    )


def test_a_loss_is_attributed_to_nodes_times_and_faults() -> None:
    view = Op(
        "info",
        VIEW,
        process=NEMESIS,
        time=22 * SECOND,
        data={"window": 1, "phase": "during", "proof": {"broker": {"leader": "n3"}}},
    )
    assert whole(
        total_queue,
        by_time(
            confirmed(1, "early", "n1"),
            fault(1, 10, 20, 30, 40),
            [view],
            confirmed(10, "begin", "n1"),
            confirmed(25, "during", "n1"),
            confirmed(39.99, "healing", "n1"),
            confirmed(40, "after", "n2"),
            confirmed(45, "later", "n3"),
            confirmed(46, "kept", "n3"),
            got(47, "kept"),
            fault(2, 50, 51, 52, 53, fault={"name": "kill", "text": "n2", "nodes": ["n2"]}),
            confirmed(50, "second", "n2"),
            confirmed(52, "unnamed"),
            fault(3, 60, 61),
            confirmed(70, "open", "n2"),
            confirmed(70.06, "open2", "n3"),
            drained(),
        ),
    )[:2] == (
        "invalid",
        [
            "10 messages were lost: confirmed by n1, n2 and n3 between 1.0 s and "
            "70.1 s, 3 during fault 1 (partition-random-halves {n1 | n2 n3}), "
            "minority side, led by n3 on another side; 2 after fault 1 was healed; 2 "
            "during fault 2 (kill {n2}); 2 during fault 3 (partition-random-halves "
            "{n1 | n2 n3}), majority side; 1 before any fault"
        ],
    )


def losses(*parts: list[Op]) -> list[str]:
    """Return the reasons of a queue from which messages were lost."""
    verdict, reasons, _ = whole(total_queue, by_time(*parts))
    assert verdict == "invalid"
    return reasons


def side_of(groups: dict[str, list[str]], *confirming: str, leader: Any = None) -> list[str]:
    split = {"name": "p", "text": "t", "kind": "partition", "grudge": groups}
    view = {"window": 1, "phase": "during", "proof": {"broker": {"leader": leader}}}
    parts = [confirmed(5, f"m{node}", node) for node in confirming]
    return losses(
        fault(1, 1, 2, 8, 9, fault=split),
        [Op("info", VIEW, process=NEMESIS, time=5 * SECOND, data=view)],
        *parts,
        drained(),
    )


def test_the_sides_of_a_partition() -> None:
    two = {"n1": ["n2", "n3"]}
    three = {"n1": ["n2", "n3"], "n2": ["n3"]}
    even = {"n1": ["n2"]}
    none = {"n1": ["n2"], "n2": ["n1"], "n3": []}
    bridge = {"n1": ["n2"], "n3": []}
    assert [
        side_of(two, "n1"),
        side_of(two, "n2"),
        side_of(two, "n2", "n3", leader="n2"),
        side_of(two, "n2", "n3", leader="n1"),
        side_of(two, "n1", "n2", leader="n1"),
        side_of(three, "n2", leader="n1"),
        side_of(even, "n2", leader=7),
        side_of(none, "n1"),
        side_of(bridge, "n2"),
    ] == [
        [
            "1 message was lost: confirmed by n1 between 5.0 s and 5.0 s, 1 during "
            "fault 1 (p {t}), minority side"
        ],
        [
            "1 message was lost: confirmed by n2 between 5.0 s and 5.0 s, 1 during "
            "fault 1 (p {t}), majority side"
        ],
        [
            "2 messages were lost: confirmed by n2 and n3 between 5.0 s and 5.0 s, 2 "
            "during fault 1 (p {t}), majority side, led by n2"
        ],
        [
            "2 messages were lost: confirmed by n2 and n3 between 5.0 s and 5.0 s, 2 "
            "during fault 1 (p {t}), majority side, led by n1 on another side"
        ],
        [
            "2 messages were lost: confirmed by n1 and n2 between 5.0 s and 5.0 s, 2 "
            "during fault 1 (p {t}), led by n1"
        ],
        [
            "1 message was lost: confirmed by n2 between 5.0 s and 5.0 s, 1 during "
            "fault 1 (p {t}), side of n2, led by n1 on another side"
        ],
        [
            "1 message was lost: confirmed by n2 between 5.0 s and 5.0 s, 1 during "
            "fault 1 (p {t}), side of n2"
        ],
        ["1 message was lost: confirmed by n1 between 5.0 s and 5.0 s, 1 during fault 1 (p {t})"],
        ["1 message was lost: confirmed by n2 between 5.0 s and 5.0 s, 1 during fault 1 (p {t})"],
    ]


def test_an_unnamed_node_is_on_no_side() -> None:
    assert losses(
        fault(1, 1, 2, 8, 9), confirmed(5, 1), confirmed(6, 2, "n3"), got(7, 2), drained()
    ) == [
        "1 message was lost: confirmed by unnamed nodes between 5.0 s and 5.0 s, "
        "1 during fault 1 (partition-random-halves {n1 | n2 n3})"
    ]


def test_losses_without_a_fault_and_losses_before_the_first() -> None:
    assert losses(confirmed(1, 1, "n1"), confirmed(2.26, 2, "n2"), drained()) == [
        "2 messages were lost: confirmed by n1 and n2 between 1.0 s and 2.3 s, 2 without any fault"
    ]
    assert losses(confirmed(1, 1, "n1"), fault(2, 5, 6), fault(1, 7, 8), drained()) == [
        "1 message was lost: confirmed by n1 between 1.0 s and 1.0 s, 1 before any fault"
    ]


def test_losses_of_ops_without_a_node() -> None:
    assert losses(confirmed(1, 1), got(1, 2, node="n1"), drained()) == [
        "1 message was lost: confirmed by unnamed nodes between 1.0 s and 1.0 s, "
        "1 without any fault",
        "1 delivered message is unexpected: never sent by any process",
    ]
    assert losses(confirmed(1, 1), drained()) == [
        "1 message was lost: acknowledged, but never delivered"
    ]


def test_a_queue_that_vanished_during_a_fault_and_restarted_nodes() -> None:
    assert losses(
        confirmed(1, 1, "n1"),
        fault(1, 2, 3, 4, 5),
        [recovery_record(6, restarted=["n2", "n1"], replicas=["n1", "n2", "n3"])],
        drained(gone=["q2", "q1", 5], received=0),
    ) == [
        "1 message was lost: confirmed by n1 between 1.0 s and 1.0 s, 1 before "
        "any fault; no node knows 5, q1 and q2 any more; found after jepsenvm "
        "restarted n1 and n2"
    ]


def doubts(*parts: list[Op]) -> list[str]:
    """Return the reasons of a queue from which messages are missing, but not lost."""
    verdict, reasons, figures = whole(total_queue, by_time(*parts))
    assert (verdict, figures["lost"]) == ("unknown", [])
    return reasons


def test_restarts_that_may_have_cost_messages() -> None:
    load = confirmed(1, 1, "n1")
    earlier = recovery_record(5, restarted=["n3"], replicas=[])
    every = recovery_record(6, restarted=["n2", "n1"], replicas=["n1", "n2", "n3"])
    unknown = recovery_record(6, restarted=["n1"], replicas=[])
    assert [
        doubts(load, [earlier, every], drained()),
        doubts(load, [unknown], drained()),
    ] == [
        [
            "jepsenvm restarted every node with a replica (n1, n2, n3) before the "
            "drain: 1 acknowledged message is undecided, neither delivered nor "
            "proven to be lost"
        ],
        [
            "jepsenvm restarted nodes that may have the only replicas (n1) before "
            "the drain: 1 acknowledged message is undecided, neither delivered nor "
            "proven to be lost"
        ],
    ]


def test_restarts_that_cost_no_messages() -> None:
    load = confirmed(1, 1, "n1")
    old = recovery_record(6, restarted=["n1"])
    none = recovery_record(6, restarted=[], replicas=["n1"])
    no_list = recovery_record(6, restarted=None, replicas=["n1"])
    some = recovery_record(6, restarted=["n1"], replicas=["n1", "n2"])
    no_record = Op("info", "recover", process=NEMESIS, time=7 * SECOND, data="text")
    assert [
        losses(load, [record, no_record], drained()) for record in (old, none, no_list, some)
    ] == [
        [
            "1 message was lost: confirmed by n1 between 1.0 s and 1.0 s, 1 without "
            "any fault; found after jepsenvm restarted n1"
        ],
        ["1 message was lost: confirmed by n1 between 1.0 s and 1.0 s, 1 without any fault"],
        ["1 message was lost: confirmed by n1 between 1.0 s and 1.0 s, 1 without any fault"],
        [
            "1 message was lost: confirmed by n1 between 1.0 s and 1.0 s, 1 without "
            "any fault; found after jepsenvm restarted n1"
        ],
    ]


def test_a_restart_without_a_missing_message_is_no_doubt() -> None:
    record = recovery_record(6, restarted=["n1"], replicas=["n1"])
    assert whole(total_queue, published(1), delivered(1), [record], DRAIN)[:2] == ("valid", [])


def test_a_queue_that_vanished_without_a_fault() -> None:
    gone = drained(gone=["q1"])
    assert [
        doubts(confirmed(1, 1, "n1"), gone),
        doubts(confirmed(1, 1, "n1"), drained(gone=["q2", "q1"])),
        doubts(fault(1, 1, 2, 3, 4), confirmed(64.001, 1, "n1"), gone),
        doubts(
            confirmed(1, 1, "n1"), [at(5, 1, "fail", "enqueue", 2)], fault(1, 5.1, 6, 7, 8), gone
        ),
        doubts(
            [at(0.5, 1, "fail", "enqueue", 3)],
            confirmed(1, 1, "n1"),
            [at(9, 1, "fail", "enqueue", 4), at(5, 1, "fail", "enqueue", 2)],
            fault(1, 5.1, 6, 7, 8),
            gone,
        ),
        doubts(fault(1, 1, 2, 3, 4), confirmed(50, 1), confirmed(51, 2), got(70, 2), gone),
    ] == [
        [
            "the queue q1 disappeared while no fault was in force, so somebody may "
            "have deleted it: 1 acknowledged message is undecided, neither delivered "
            "nor proven to be lost"
        ],
        [
            "the queues q1 and q2 disappeared while no fault was in force, so "
            "somebody may have deleted it: 1 acknowledged message is undecided, "
            "neither delivered nor proven to be lost"
        ],
        [
            "the queue q1 disappeared while no fault was in force, so somebody may "
            "have deleted it: 1 acknowledged message is undecided, neither delivered "
            "nor proven to be lost"
        ],
        [
            "the queue q1 disappeared while no fault was in force, so somebody may "
            "have deleted it: 1 acknowledged message is undecided, neither delivered "
            "nor proven to be lost"
        ],
        [
            "the queue q1 disappeared while no fault was in force, so somebody may "
            "have deleted it: 1 acknowledged message is undecided, neither delivered "
            "nor proven to be lost"
        ],
        [
            "the queue q1 disappeared while no fault was in force, so somebody may "
            "have deleted it: 1 acknowledged message is undecided, neither delivered "
            "nor proven to be lost"
        ],
    ]


def test_a_queue_that_vanished_around_a_fault() -> None:
    gone = drained(gone=["q1"])
    assert [
        losses(fault(1, 1, 2, 3, 4), confirmed(64, 1, "n1"), gone),
        losses(fault(1, 1, 2), confirmed(90, 1, "n1"), gone),
        losses(confirmed(1, 1, "n1"), fault(1, 99, 99, 99, 99), gone),
        losses(confirmed(1, 1, "n1"), fault(1, 5, 5, 5, 5), [at(5, 1, "fail", "enqueue", 2)], gone),
    ] == [
        [
            "1 message was lost: confirmed by n1 between 64.0 s and 64.0 s, 1 after "
            "fault 1 was healed; no node knows q1 any more"
        ],
        [
            "1 message was lost: confirmed by n1 between 90.0 s and 90.0 s, 1 during "
            "fault 1 (partition-random-halves {n1 | n2 n3}), minority side; no node "
            "knows q1 any more"
        ],
        [
            "1 message was lost: confirmed by n1 between 1.0 s and 1.0 s, 1 before "
            "any fault; no node knows q1 any more"
        ],
        [
            "1 message was lost: confirmed by n1 between 1.0 s and 1.0 s, 1 before "
            "any fault; no node knows q1 any more"
        ],
    ]


def test_a_dead_letter_queue_with_a_promise() -> None:
    checker = partial(dead_letter, strategy="at-least-once")
    assert whole(checker, confirmed(1, 1, "n1"), confirmed(2, 2, "n1"), DRAIN) == (
        "invalid",
        [
            "2 messages never arrived in the dead-letter queue: confirmed by n1 "
            "between 1.0 s and 2.0 s, 2 without any fault"
        ],
        {
            "attempt-count": 2,
            "acknowledged-count": 2,
            "ok-count": 0,
            "dequeued-count": 0,
            "load-acknowledged-count": 2,
            "lost-count": 2,
            "lost": [1, 2],
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
            "strategy": "at-least-once",
            "promised": True,
        },
    )


def test_a_dead_letter_queue_without_a_promise() -> None:
    checker = partial(dead_letter, strategy="at-most-once")
    assert whole(checker, published(1), DRAIN) == (
        "invalid",
        [
            "1 message never arrived in the dead-letter queue: acknowledged by their "
            "queue; the strategy at-most-once guarantees nothing"
        ],
        {
            "attempt-count": 1,
            "acknowledged-count": 1,
            "ok-count": 0,
            "dequeued-count": 0,
            "load-acknowledged-count": 1,
            "lost-count": 1,
            "lost": [1],
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
            "strategy": "at-most-once",
            "promised": False,
        },
    )
    assert whole(checker, published(1), delivered(1))[:2] == (
        "unknown",
        ["the queue was never drained"],
    )


def returned(*values: Any) -> list[Op]:
    return delivered(*values, data={"returned": True})


def test_dropped_messages() -> None:
    assert whole(
        partial(redelivery, delivery_limit=2),
        confirmed(1, 1, "n1"),
        confirmed(1, 2, "n1"),
        confirmed(1, 3, "n1"),
        confirmed(1, 4, "n2"),
        confirmed(1, 4, "n2"),
        confirmed(1, 5, "n2"),
        returned(1, 1, 1, 2, 2, 5),
        delivered(5, 77),
        returned(88),
        delivered(3, data={"returned": True, "corrupted": True}),
        DRAIN,
    ) == (
        "invalid",
        [
            "2 acknowledged messages were dropped after being returned 2 to 3 times "
            "(delivery limit 2), 1 of them after no more returns than the limit "
            "allows",
            "3 messages were lost: confirmed by n1 and n2 between 1.0 s and 1.0 s, 3 "
            "without any fault",
            "1 delivery is corrupted: the body differs from the sent body, first "
            "with an unknown difference",
            "2 delivered messages are unexpected: never sent by any process",
        ],
        {
            "attempt-count": 6,
            "acknowledged-count": 6,
            "ok-count": 1,
            "dequeued-count": 3,
            "load-acknowledged-count": 6,
            "lost-count": 5,
            "lost": [1, 2, 3, 4, 4],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 2,
            "unexpected": [77, 88],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 0,
            "undecided": [],
            "lost-after-delivery-count": 0,
            "corrupted-count": 1,
            "corrupted": ["with an unknown difference"],
            "dropped-count": 2,
            "dropped": [1, 2],
            "returned-count": 8,
            "most-returns": 3,
            "deliveries": {"1": 3, "2": 2, "3": 1},
            "delivery-limit": 2,
        },
    )


def test_one_dropped_message_by_the_default_limit() -> None:
    assert whole(partial(redelivery, delivery_limit=None), published(1), returned(1), DRAIN) == (
        "invalid",
        [
            "1 acknowledged message was dropped after being returned 1 time (the "
            "broker's default delivery limit)"
        ],
        {
            "attempt-count": 1,
            "acknowledged-count": 1,
            "ok-count": 0,
            "dequeued-count": 0,
            "load-acknowledged-count": 1,
            "lost-count": 1,
            "lost": [1],
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
            "dropped-count": 1,
            "dropped": [1],
            "returned-count": 1,
            "most-returns": 1,
            "deliveries": {"1": 1},
            "delivery-limit": None,
        },
    )


def test_dropped_messages_of_equal_counts() -> None:
    checker = partial(redelivery, delivery_limit=1)
    assert whole(checker, published(1, 2), returned(1, 1, 2, 2), DRAIN)[:2] == (
        "invalid",
        ["2 acknowledged messages were dropped after being returned 2 times (delivery limit 1)"],
    )


def test_returned_messages_without_a_drain_are_undecided() -> None:
    assert whole_of_journal(
        partial(redelivery, delivery_limit=1), published(1, 2), returned(1)
    ) == (
        "unknown",
        [
            "the queue was never drained: 2 acknowledged messages are undecided, "
            "neither delivered nor proven to be lost"
        ],
        {
            "attempt-count": 2,
            "acknowledged-count": 2,
            "ok-count": 0,
            "dequeued-count": 0,
            "load-acknowledged-count": 2,
            "lost-count": 0,
            "lost": [],
            "duplicated-count": 0,
            "duplicated": [],
            "unexpected-count": 0,
            "unexpected": [],
            "recovered-count": 0,
            "recovered": [],
            "undecided-count": 2,
            "undecided": [1, 2],
            "lost-after-delivery-count": 0,
            "corrupted-count": 0,
            "corrupted": [],
            "dropped-count": 0,
            "dropped": [],
            "returned-count": 1,
            "most-returns": 1,
            "deliveries": {"1": 1},
            "delivery-limit": 1,
        },
    )


def test_a_thousand_dropped_messages_are_shown() -> None:
    values = range(SHOWN + 1)
    verdict, reasons, figures = whole_of_journal(
        partial(redelivery, delivery_limit=0), published(*values), returned(*values), DRAIN
    )
    assert (verdict, figures["dropped-count"]) == ("invalid", SHOWN + 1)
    assert figures["dropped"] == list(values)[:SHOWN]
    assert reasons == [
        "1,001 acknowledged messages were dropped after being returned 1 time (delivery limit 0)"
    ]


def test_a_redelivery_without_violations() -> None:
    assert whole(
        partial(redelivery, delivery_limit=3), published(1, 2), returned(1), delivered(1, 2), DRAIN
    ) == (
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
            "dropped-count": 0,
            "dropped": [],
            "returned-count": 1,
            "most-returns": 1,
            "deliveries": {"1": 1, "2": 1},
            "delivery-limit": 3,
        },
    )
    assert whole(partial(redelivery, delivery_limit=3)) == (
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
            "dropped-count": 0,
            "dropped": [],
            "returned-count": 0,
            "most-returns": 0,
            "deliveries": {},
            "delivery-limit": 3,
        },
    )
