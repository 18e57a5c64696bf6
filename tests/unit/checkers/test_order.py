"""order: planted reorderings, similar legal histories, two active consumers, the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.order import order
from jepsenvm.checkers.unacknowledged import UNACKNOWLEDGED
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.nemesis_records import HEAL, HEALED, IN_FORCE, INJECT
from jepsenvm.history.op import Op
from jepsenvm.history.units import SECOND
from tests.unit.builders import (
    DRAIN,
    UNPROVEN_DRAINS,
    fault_records,
    history,
    published,
    with_verdict,
)


def received(*values: int, to: int = 10, flagged: bool = False, at: float = 0) -> list[Op]:
    """Return a delivery of each value to a consumer, flagged as redelivered or not."""
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
    times = {INJECT: injected, IN_FORCE: injected, HEAL: healed, HEALED: healed}
    return fault_records({phase: int(time * SECOND) for phase, time in times.items()})


def judged(*parts: list[Op], single_active: bool = False, prefetch: int = 1) -> dict[str, Any]:
    return with_verdict(order(history(*parts), single_active=single_active, prefetch=prefetch))


def summary(*parts: list[Op], single_active: bool = False) -> tuple[Verdict, list[Any], int]:
    """Return the verdict, the values out of order, and the number of excused deliveries."""
    figures = judged(*parts, DRAIN, single_active=single_active)
    assert figures["out-of-order-count"] == len(figures["out-of-order"])
    return figures["verdict"], figures["out-of-order"], figures["excused-count"]


def test_deliveries_in_order_are_valid() -> None:
    assert summary(published(1, 2, 3), received(1, 2, 3)) == (Verdict.VALID, [], 0)


def test_a_delivery_that_goes_backwards_is_out_of_order() -> None:
    figures = judged(published(1, 2, 3, process=4), received(1, 3, 2), DRAIN)
    assert (figures["verdict"], figures["out-of-order"]) == (Verdict.INVALID, [[2, 3]])
    assert figures["reasons"] == (
        "1 delivery is out of order: first 2 after 3, which process 4 published later",
    )


def test_the_order_is_that_of_publishing_and_not_of_the_values() -> None:
    assert summary(published(3, 1, 2), received(3, 1, 2)) == (Verdict.VALID, [], 0)
    assert summary(published(3, 1, 2), received(1, 3, 2)) == (Verdict.INVALID, [[3, 1]], 0)


def test_a_delivery_is_compared_with_all_earlier_ones_not_only_the_last() -> None:
    assert summary(published(1, 2, 3), received(3, 1, 2))[1] == [[1, 3], [2, 3]]


def test_messages_of_different_publishers_have_no_order() -> None:
    assert summary(published(1, 2), published(3, 4, process=1), received(3, 1, 4, 2)) == (
        Verdict.VALID,
        [],
        0,
    )


def test_messages_of_a_retired_publisher_and_its_successor_have_no_order() -> None:
    doubtful = published(1, end="info")
    assert summary(doubtful, published(2, process=5), received(2, 1)) == (Verdict.VALID, [], 0)


def test_a_redelivered_message_may_go_backwards() -> None:
    assert summary(published(1, 2, 3), received(1, 3), received(2, flagged=True)) == (
        Verdict.VALID,
        [],
        1,
    )


def test_a_delivered_message_may_be_delivered_again_without_a_flag() -> None:
    assert summary(published(1, 2, 3), received(1, 2, 3, 1, 2, 3)) == (Verdict.VALID, [], 2)


def test_after_a_redelivery_only_repeated_deliveries_are_excused() -> None:
    after = [received(1, 3), received(1, flagged=True)]
    assert summary(published(1, 2, 3), *after, received(3), received(2, flagged=True))[:2] == (
        Verdict.VALID,
        [],
    )
    assert summary(published(1, 2, 3), *after, received(2, 3))[:2] == (Verdict.INVALID, [[2, 3]])


def test_a_new_consumer_gets_the_unacknowledged_messages_of_a_dead_one() -> None:
    died, successor = (
        received(1, 2, 3),
        [received(2, 3, 4, to=11, flagged=True), received(5, to=11)],
    )
    assert summary(published(1, 2, 3, 4, 5), died, *successor, single_active=True) == (
        Verdict.VALID,
        [],
        1,
    )


def test_deliveries_to_several_consumers_have_no_order() -> None:
    parts = published(1, 2, 3, 4), received(2, 4, to=11), received(1, 3, to=10)
    assert summary(*parts) == (Verdict.VALID, [], 0)
    assert summary(*parts[:2], received(3, 1, to=10))[1] == [[1, 3]]


def test_with_a_single_active_consumer_all_deliveries_are_in_one_order() -> None:
    assert summary(published(1, 2, 3), received(1, 3), received(2, to=11))[1] == []
    assert summary(published(1, 2, 3), received(1, 3), received(2, to=11), single_active=True)[
        1
    ] == [[2, 3]]


def test_a_straggler_is_excused_but_not_within_its_own_consumer() -> None:
    parts = published(1, 2, 3, 4), received(1), received(3, 4, to=11)
    assert summary(*parts, received(2), single_active=True) == (Verdict.VALID, [], 1)
    assert summary(
        published(1, 2, 3, 4), received(1, 3), received(4, to=11), received(2), single_active=True
    )[1] == [[2, 3]]


def test_a_delivery_of_the_drain_is_compared_with_the_whole_load() -> None:
    drain = [DRAIN[0], *received(2, to=90), *received(4, to=91), *received(3, to=90), DRAIN[1]]
    assert judged(published(1, 2, 3, 4), received(1), drain)["verdict"] is Verdict.VALID
    figures = judged(
        published(1, 2, 3, 4),
        received(1, 3),
        [DRAIN[0], *received(2, to=90), *received(4, to=91), DRAIN[1]],
    )
    assert (figures["verdict"], figures["out-of-order"]) == (Verdict.INVALID, [[2, 3]])


def test_a_consumer_of_the_load_is_compared_with_itself_during_the_drain() -> None:
    drain = [DRAIN[0], *received(2), DRAIN[1]]
    assert (
        judged(published(1, 2, 3), received(1), received(3, to=11), drain)["verdict"]
        is Verdict.VALID
    )


def test_a_value_attempted_twice_has_no_position() -> None:
    assert summary(published(1, 2, 1), received(2, 1, 1)) == (Verdict.VALID, [], 0)


def test_a_message_missing_at_the_end_is_lost() -> None:
    figures = judged(
        published(1, 2, 3),
        published(4, end="info"),
        received(1, 3),
        DRAIN,
    )
    assert (figures["verdict"], figures["lost"], figures["out-of-order-count"]) == (
        Verdict.INVALID,
        [2],
        0,
    )


def test_failed_and_doubtful_messages_may_be_missing() -> None:
    doubtful = [*published(2, end="fail"), *published(3, end="info")]
    assert summary(published(1), doubtful, received(1)) == (Verdict.VALID, [], 0)


def test_an_unexpected_message_is_invalid() -> None:
    assert summary(published(1), received(1, 7))[0] is Verdict.INVALID


@pytest.mark.parametrize("drain", UNPROVEN_DRAINS)
def test_without_a_finished_drain_only_what_was_seen_is_judged(drain: list[Op]) -> None:
    assert judged(published(1, 2), received(1), drain)["verdict"] is Verdict.UNKNOWN
    assert judged(published(1, 2), received(2, 1), drain)["verdict"] is Verdict.INVALID


def test_counts_are_exact_although_the_lists_are_cut() -> None:
    figures = judged(published(*range(1500)), received(*reversed(range(1500))), DRAIN)
    assert (figures["out-of-order-count"], len(figures["out-of-order"])) == (1499, 1000)


# Two active at once: values in order, to the consumers of a pattern.


def active(pattern: str, *, faults: list[Op], prefetch: int = 1) -> dict[str, Any]:
    """Return the figures of one delivery per second, from 1 s; each letter is a consumer."""
    deliveries = [
        op
        for value, name in enumerate(pattern)
        for op in received(value, to=ord(name) - ord("A") + 10, at=value + 1)
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
        "two consumers were active at once: process 10 on n10 and process 11 on n11 took 3 turns "
        "between 6.0 s and 10.0 s",
    )


def test_a_consumer_may_be_active_again_after_the_network_changed() -> None:
    assert active("AABBAA", faults=fault(0.5, 4.5))["count"] == 0
    assert active("AABBAA", faults=fault(4.5, 9))["count"] == 0
    assert active("AABBAA", faults=fault(6.5, 9))["count"] == 1
    assert active("AABBAABB", faults=fault(4.5, 90))["count"] == 0
    assert active("AABBAABBAA", faults=fault(4.5, 90))["count"] == 1


def test_under_one_fault_a_new_leader_may_change_the_consumer_once() -> None:
    assert active("AABBAAAAAA", faults=fault(0.5, 90))["count"] == 0
    assert active("AABBAABBBB", faults=fault(0.5, 90))["count"] == 1
    assert active("AABBAABBAA", faults=fault(0.5, 90))["count"] == 2


def test_consumers_of_the_drain_may_take_turns() -> None:
    drain = [
        DRAIN[0],
        *(op for value in range(2, 12) for op in received(value, to=90 + value % 2)),
        DRAIN[1],
    ]
    figures = judged(published(*range(12)), received(0, 1), drain, single_active=True)
    assert (figures["verdict"], figures["two-active-count"]) == (Verdict.VALID, 0)


def test_without_a_single_active_consumer_several_may_be_active() -> None:
    assert (
        judged(published(1, 2, 3, 4), received(1, 3), received(2, to=11), received(4), DRAIN)[
            "two-active-count"
        ]
        == 0
    )


# Agreement with the definition.

DELIVERIES = st.lists(st.tuples(st.integers(0, 9), st.integers(10, 12), st.booleans()), max_size=14)


def defined(
    publisher: list[int], deliveries: list[tuple[int, int, bool]], *, drained_from: int
) -> list[list[int]]:
    """Return what is out of order by the definition, for values published in ascending order."""
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
    ops = [
        op for value, to, flagged in deliveries for op in received(value, to=to, flagged=flagged)
    ]
    figures = judged(sent, ops[: 2 * drained_from], DRAIN[:1], ops[2 * drained_from :], DRAIN[1:])
    assert figures["out-of-order"] == defined(publisher, deliveries, drained_from=drained_from)
    bad = figures["out-of-order"] or set(range(len(publisher))) ^ {
        value for value, _, _ in deliveries
    }
    assert figures["verdict"] is (Verdict.INVALID if bad else Verdict.VALID)


def turns_taken(consumers: list[int], prefetch: int) -> tuple[int, list[bool]]:
    """Return, by the definition, how often a replaced consumer was active again, and stragglers."""
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
    ops = [op for value, to in zip(values, consumers, strict=True) for op in received(value, to=to)]
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
    figures = judged(published(1, 2), received(2, 1), DRAIN)
    assert not [value for value in figures.values() if isinstance(value, np.generic)]


# Consumers that churn and crash: what a correct broker does is valid.


def test_each_subscription_of_a_single_active_consumer_is_a_new_consumer() -> None:
    """Consumer 10 cancels and subscribes again as 12, then 11 cancels and 12 is active."""
    parts = published(*range(1, 9)), received(1, 2), received(3, 4, to=11), received(5, 6, to=12)
    figures = judged(*parts, received(7, 8, to=13), DRAIN, single_active=True)
    assert (figures["verdict"], figures["two-active-count"]) == (Verdict.VALID, 0)
    assert figures["compared-count"] == 7
    # The planted twin: the cancelled subscription is still active.
    figures = judged(*parts, received(7, 8), DRAIN, single_active=True)
    assert (figures["verdict"], figures["two-active-count"]) == (Verdict.INVALID, 1)


@pytest.mark.parametrize("single_active", [True, False])
def test_what_was_under_way_to_a_cancelled_consumer_comes_again(single_active: bool) -> None:
    before = published(*range(1, 6)), received(1), received(4, to=11)
    assert summary(*before, received(2, 3, to=11, flagged=True), received(5, to=11)) == (
        Verdict.VALID,
        [],
        2,
    )
    figures = judged(
        *before, received(2, 3, to=11), received(5, to=11), DRAIN, single_active=single_active
    )
    assert figures["out-of-order"] == [[2, 4], [3, 4]]


def test_what_a_crashed_consumer_held_comes_again_to_others() -> None:
    crashes = [
        *received(1, 2, 3),
        *unacknowledged(2, 3, to=10),
        *received(2, 3, to=11, flagged=True),
        *received(4, to=11),
        *unacknowledged(3, 4, to=11),
        *received(3, 4, to=12, flagged=True),
        *received(5, to=12),
    ]
    figures = judged(published(*range(1, 6)), crashes, DRAIN, single_active=True)
    assert (figures["verdict"], figures["out-of-order-count"]) == (Verdict.VALID, 0)
    assert (figures["two-active-count"], figures["lost-count"]) == (0, 0)
    assert figures["duplicated-count"] == 4


def test_what_a_crashed_consumer_held_and_never_comes_again_is_lost() -> None:
    crash = [*received(1, 2), *unacknowledged(2, to=10), *received(3, to=11)]
    figures = judged(published(1, 2, 3), crash, DRAIN, single_active=True)
    assert (figures["verdict"], figures["lost"]) == (Verdict.INVALID, [2])


def unacknowledged(*values: int, to: int) -> list[Op]:
    """Return the record of each delivery that a consumer never acknowledged."""
    return [
        op
        for value in values
        for op in (
            Op("invoke", "dequeue", process=to),
            Op("fail", "dequeue", value, to, data={UNACKNOWLEDGED: True}),
        )
    ]
