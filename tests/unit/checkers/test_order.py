"""order: planted reorderings and their innocent twins, two active consumers, and agreement with the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.order import order
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import from_ops

SECOND = 1_000_000_000
DRAIN = [Op("invoke", "drain", process=99), Op("ok", "drain", process=99)]


def published(*values: int, process: int = 0) -> list[Op]:
    return [Op(type_, "enqueue", value, process) for value in values for type_ in ("invoke", "ok")]


def came(*values: int, to: int = 10, flagged: bool = False, at: float = 0) -> list[Op]:
    data = {"redelivered": True} if flagged else None
    return [
        op
        for value in values
        for op in (
            Op("invoke", "dequeue", process=to, node=f"n{to}"),
            Op("ok", "dequeue", value, to, int(at * SECOND), f"n{to}", data=data),
        )
    ]


def fault(injected: float, healed: float) -> list[Op]:
    phases = {"inject": injected, "in-force": injected, "heal": healed, "healed": healed}
    return [
        Op(
            "info",
            "start",
            process=NEMESIS,
            time=int(time * SECOND),
            data={"phase": phase, "window": 1, "fault": {}},
        )
        for phase, time in phases.items()
    ]


def judged(*parts: list[Op], single_active: bool = False, prefetch: int = 1) -> dict[str, Any]:
    ops = [op for part in parts for op in part]
    result = order(from_ops(ops), single_active=single_active, prefetch=prefetch)
    return {"verdict": result.verdict, "reasons": result.reasons, **result.figures}


def found(*parts: list[Op], single_active: bool = False) -> tuple[Verdict, list[Any], int]:
    figures = judged(*parts, DRAIN, single_active=single_active)
    assert figures["out-of-order-count"] == len(figures["out-of-order"])
    return figures["verdict"], figures["out-of-order"], figures["excused-count"]


def test_in_order_is_valid() -> None:
    assert found(published(1, 2, 3), came(1, 2, 3)) == (Verdict.VALID, [], 0)


def test_a_delivery_that_goes_backwards_is_out_of_order() -> None:
    figures = judged(published(1, 2, 3, process=4), came(1, 3, 2), DRAIN)
    assert (figures["verdict"], figures["out-of-order"]) == (Verdict.INVALID, [[2, 3]])
    assert figures["reasons"] == (
        "1 out of order: first 2 after 3, which process 4 published later",
    )


def test_the_order_is_that_of_publishing_and_not_of_the_values() -> None:
    assert found(published(3, 1, 2), came(3, 1, 2)) == (Verdict.VALID, [], 0)
    assert found(published(3, 1, 2), came(1, 3, 2)) == (Verdict.INVALID, [[3, 1]], 0)


def test_it_is_compared_with_the_latest_so_far_and_not_only_with_the_one_before() -> None:
    assert found(published(1, 2, 3), came(3, 1, 2))[1] == [[1, 3], [2, 3]]


def test_publishers_have_no_order_among_each_other() -> None:
    assert found(published(1, 2), published(3, 4, process=1), came(3, 1, 4, 2)) == (
        Verdict.VALID,
        [],
        0,
    )


def test_a_publisher_that_retired_and_its_successor_have_none_either() -> None:
    doubtful = [Op("invoke", "enqueue", 1), Op("info", "enqueue", 1)]
    assert found(doubtful, published(2, process=5), came(2, 1)) == (Verdict.VALID, [], 0)


def test_what_is_flagged_as_redelivered_may_go_backwards() -> None:
    assert found(published(1, 2, 3), came(1, 3), came(2, flagged=True)) == (Verdict.VALID, [], 1)


def test_what_came_before_may_come_again_without_a_flag() -> None:
    assert found(published(1, 2, 3), came(1, 2, 3, 1, 2, 3)) == (Verdict.VALID, [], 2)


def test_after_a_redelivery_what_came_before_is_excused_and_what_never_came_is_not() -> None:
    after = [came(1, 3), came(1, flagged=True)]
    assert found(published(1, 2, 3), *after, came(3), came(2, flagged=True))[:2] == (
        Verdict.VALID,
        [],
    )
    assert found(published(1, 2, 3), *after, came(2, 3))[:2] == (Verdict.INVALID, [[2, 3]])


def test_a_successor_gets_what_its_dead_predecessor_did_not_acknowledge_and_goes_on() -> None:
    died, successor = came(1, 2, 3), [came(2, 3, 4, to=11, flagged=True), came(5, to=11)]
    assert found(published(1, 2, 3, 4, 5), died, *successor, single_active=True) == (
        Verdict.VALID,
        [],
        1,
    )


def test_several_consumers_race_each_other() -> None:
    parts = published(1, 2, 3, 4), came(2, 4, to=11), came(1, 3, to=10)
    assert found(*parts) == (Verdict.VALID, [], 0)
    assert found(*parts[:2], came(3, 1, to=10))[1] == [[1, 3]]


def test_with_a_single_active_consumer_all_deliveries_are_in_one_order() -> None:
    assert found(published(1, 2, 3), came(1, 3), came(2, to=11))[1] == []
    assert found(published(1, 2, 3), came(1, 3), came(2, to=11), single_active=True)[1] == [[2, 3]]


def test_a_straggler_to_a_replaced_consumer_is_excused_but_not_within_its_own_order() -> None:
    parts = published(1, 2, 3, 4), came(1), came(3, 4, to=11)
    assert found(*parts, came(2), single_active=True) == (Verdict.VALID, [], 1)
    assert found(published(1, 2, 3, 4), came(1, 3), came(4, to=11), came(2), single_active=True)[
        1
    ] == [[2, 3]]


def test_the_drain_comes_after_all_of_the_load() -> None:
    drain = [DRAIN[0], *came(2, to=90), *came(4, to=91), *came(3, to=90), DRAIN[1]]
    assert judged(published(1, 2, 3, 4), came(1), drain)["verdict"] is Verdict.VALID
    figures = judged(
        published(1, 2, 3, 4), came(1, 3), [DRAIN[0], *came(2, to=90), *came(4, to=91), DRAIN[1]]
    )
    assert (figures["verdict"], figures["out-of-order"]) == (Verdict.INVALID, [[2, 3]])


def test_a_consumer_of_the_load_that_goes_on_in_the_drain_is_judged_alone() -> None:
    drain = [DRAIN[0], *came(2), DRAIN[1]]
    assert judged(published(1, 2, 3), came(1), came(3, to=11), drain)["verdict"] is Verdict.VALID


def test_a_value_attempted_twice_has_no_place() -> None:
    assert found(published(1, 2, 1), came(2, 1, 1)) == (Verdict.VALID, [], 0)


def test_what_is_missing_at_the_end_is_lost() -> None:
    figures = judged(
        published(1, 2, 3),
        [Op("invoke", "enqueue", 4), Op("info", "enqueue", 4)],
        came(1, 3),
        DRAIN,
    )
    assert (figures["verdict"], figures["lost"], figures["out-of-order-count"]) == (
        Verdict.INVALID,
        [2],
        0,
    )


def test_what_may_be_missing_is_no_loss() -> None:
    doubtful = [
        Op(type_, "enqueue", value)  # type: ignore[arg-type]  # a str, and a type
        for value, end in ((2, "fail"), (3, "info"))
        for type_ in ("invoke", end)
    ]
    assert found(published(1), doubtful, came(1)) == (Verdict.VALID, [], 0)


def test_an_unexpected_message_is_invalid() -> None:
    assert found(published(1), came(1, 7))[0] is Verdict.INVALID


@pytest.mark.parametrize("drain", [[], DRAIN[:1], [DRAIN[0], Op("info", "drain", process=99)]])
def test_without_a_finished_drain_nothing_is_sure_but_what_was_seen(drain: list[Op]) -> None:
    assert judged(published(1, 2), came(1), drain)["verdict"] is Verdict.UNKNOWN
    assert judged(published(1, 2), came(2, 1), drain)["verdict"] is Verdict.INVALID


def test_counts_are_exact_where_values_are_capped() -> None:
    figures = judged(published(*range(1500)), came(*reversed(range(1500))), DRAIN)
    assert (figures["out-of-order-count"], len(figures["out-of-order"])) == (1499, 1000)


# Two active at once: values 0..99 in order, to the consumers of a pattern.


def active(
    pattern: str, *, at: dict[int, float] | None = None, faults: list[Op], prefetch: int = 1
) -> dict[str, Any]:
    """A letter is a consumer and gets one message, one each second from 1 s."""
    deliveries = [
        op
        for value, name in enumerate(pattern)
        for op in came(value, to=ord(name) - ord("A") + 10, at=value + 1)
    ]
    ops = sorted([*deliveries, *faults], key=lambda op: op.time)
    figures = judged(
        published(*range(len(pattern))), ops, DRAIN, single_active=True, prefetch=prefetch
    )
    figures["count"] = figures["two-active-count"]
    return figures


@pytest.mark.parametrize(
    ("pattern", "prefetch", "count"),
    [
        ("AAAABBBB", 1, 0),
        ("AAAABABBB", 1, 0),
        ("AAAABAABBB", 1, 2),
        ("AAAABABABB", 1, 2),
        ("AAAABAABBB", 2, 0),
        ("AABACADAEA", 5, 0),
        ("AABACADAEA", 3, 1),
        ("AABBAABBAABB", 1, 4),
        ("AABBCC", 1, 0),
        ("", 1, 0),
    ],
)
def test_two_active_at_once_beyond_the_stragglers(pattern: str, prefetch: int, count: int) -> None:
    figures = active(pattern, faults=[], prefetch=prefetch)
    assert figures["count"] == count
    assert figures["verdict"] is (Verdict.INVALID if count else Verdict.VALID)


def test_two_active_are_named_with_nodes_and_times() -> None:
    figures = active("AABBAABBAA", faults=[])
    assert figures["two-active"] == [
        {"consumers": [10, 11], "nodes": ["n10", "n11"], "first": 6.0, "last": 10.0, "turns": 3}
    ]
    assert figures["reasons"] == (
        "two active consumers at once: process 10 on n10 and process 11 on n11 took 3 turns between 6.0 s and 10.0 s",
    )


def test_a_consumer_is_taken_back_when_the_network_has_changed() -> None:
    assert active("AABBAA", faults=fault(0.5, 4.5))["count"] == 0
    assert active("AABBAA", faults=fault(4.5, 9))["count"] == 0
    assert active("AABBAA", faults=fault(6.5, 9))["count"] == 1
    assert active("AABBAABB", faults=fault(4.5, 90))["count"] == 0
    assert active("AABBAABBAA", faults=fault(4.5, 90))["count"] == 1


def test_under_one_fault_a_new_leader_may_take_one_back_but_not_both_in_turns() -> None:
    assert active("AABBAAAAAA", faults=fault(0.5, 90))["count"] == 0
    assert active("AABBAABBBB", faults=fault(0.5, 90))["count"] == 1
    assert active("AABBAABBAA", faults=fault(0.5, 90))["count"] == 2


def test_the_drains_readers_are_excused() -> None:
    drain = [
        DRAIN[0],
        *(op for value in range(2, 12) for op in came(value, to=90 + value % 2)),
        DRAIN[1],
    ]
    figures = judged(published(*range(12)), came(0, 1), drain, single_active=True)
    assert (figures["verdict"], figures["two-active-count"]) == (Verdict.VALID, 0)


def test_without_a_single_active_consumer_many_may_be_active() -> None:
    assert (
        judged(published(1, 2, 3, 4), came(1, 3), came(2, to=11), came(4), DRAIN)[
            "two-active-count"
        ]
        == 0
    )


# Agreement with the definition.

DELIVERIES = st.lists(st.tuples(st.integers(0, 9), st.integers(10, 12), st.booleans()), max_size=14)


def defined(
    publisher: list[int], deliveries: list[tuple[int, int, bool]], *, drained_from: int
) -> list[list[int]]:
    """The definition for several consumers, pair by pair; values are published in ascending order."""
    out = []
    for here, (value, consumer, flagged) in enumerate(deliveries):
        earlier = deliveries[:here]
        if flagged or value in [other for other, _, _ in earlier] or value >= len(publisher):
            continue
        drains_only = consumer not in [other for _, other, _ in deliveries[:drained_from]]
        bounds = [
            other
            for at, (other, to, _) in enumerate(earlier)
            if other < len(publisher)
            and publisher[other] == publisher[value]
            and (to == consumer or (drains_only and at < drained_from))
        ]
        if bounds and max(bounds) > value:
            out.append([value, max(bounds)])
    return out


@given(st.lists(st.integers(0, 1), max_size=8), DELIVERIES, st.integers(0, 14))
def test_it_agrees_with_the_definition(
    publisher: list[int], deliveries: list[tuple[int, int, bool]], drained_from: int
) -> None:
    sent = [
        op for value, process in enumerate(publisher) for op in published(value, process=process)
    ]
    ops = [op for value, to, flagged in deliveries for op in came(value, to=to, flagged=flagged)]
    figures = judged(sent, ops[: 2 * drained_from], DRAIN[:1], ops[2 * drained_from :], DRAIN[1:])
    assert figures["out-of-order"] == defined(publisher, deliveries, drained_from=drained_from)
    bad = figures["out-of-order"] or set(range(len(publisher))) ^ {
        value for value, _, _ in deliveries
    }
    assert figures["verdict"] is (Verdict.INVALID if bad else Verdict.VALID)


def turns_taken(consumers: list[int], prefetch: int) -> tuple[int, list[bool]]:
    """The definition without faults, message by message: how often a replaced consumer was active again."""
    current, late, turns, stragglers = None, dict[int, int](), 0, []
    for consumer in consumers:
        straggler = False
        if consumer != current:
            if consumer in late:
                late[consumer] += 1
                straggler = late[consumer] <= prefetch
                turns += not straggler
            if not straggler:
                if current is not None:
                    late[current] = 0
                late.pop(consumer, None)
                current = consumer
        stragglers.append(straggler)
    return turns, stragglers


@given(
    st.lists(st.integers(10, 12), max_size=30), st.integers(1, 3), st.randoms(use_true_random=False)
)
def test_single_active_agrees_with_the_definition(
    consumers: list[int], prefetch: int, random: Any
) -> None:
    values = list(range(len(consumers)))
    random.shuffle(values)
    ops = [op for value, to in zip(values, consumers, strict=True) for op in came(value, to=to)]
    figures = judged(
        published(*range(len(values))), ops, DRAIN, single_active=True, prefetch=prefetch
    )
    turns, stragglers = turns_taken(consumers, prefetch)
    out = [
        value
        for here, (value, to) in enumerate(zip(values, consumers, strict=True))
        if any(
            other > value and (consumer == to or not stragglers[here])
            for other, consumer in zip(values[:here], consumers[:here], strict=True)
        )
    ]
    assert (figures["two-active-count"], [value for value, _ in figures["out-of-order"]]) == (
        turns,
        out,
    )


def test_figures_are_plain_data() -> None:
    figures = judged(published(1, 2), came(2, 1), DRAIN)
    assert not [value for value in figures.values() if isinstance(value, np.generic)]
