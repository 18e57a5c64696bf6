"""Several queues and exchanges: which plans are refused, and where each message goes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.errors import UsageError
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.reading import read, resolve
from jepsenvm.plan.routing import Routing
from jepsenvm.workloads.registry import WORKLOADS


def resolved(text: str) -> Plan:
    return resolve(read(text, "plan.yml"), "plan.yml", WORKLOADS, NEMESES)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("queues: 0", "queues: Input should be greater than or equal to 1 (found 0)"),
        ("queues: 10001", "queues: Input should be less than or equal to 10000 (found 10001)"),
        ("queues: many", "queues"),
        ("queues: 2.5", "queues"),
        ("queues: true", "queues"),
        ("fan-out: 0", "fan-out: Input should be greater than or equal to 1"),
        ("fan-out: 101\nqueues: 200", "fan-out: Input should be less than or equal to 100"),
        ("exchange: x-random", "exchange: Input should be 'default', 'direct', 'topic', 'fanout'"),
        (
            "queues: 3\nexchange: topic\nfan-out: 4",
            "fan-out (4) must not be greater than queues (3)",
        ),
        ("queues: 3\nfan-out: 2", "fan-out: needs exchange direct, topic, fanout or headers"),
        (
            "queues: 500\nmessages: 499",
            "messages (499) must be at least 500 with queues, or some queue would get none",
        ),
        (
            "queues: 5\nexchange: direct\nfan-out: 2\nmessages: 2",
            "messages (2) must be at least 3 with queues, exchange, fan-out",
        ),
        (
            "queue-type: stream\nqueues: 2",
            "queues: needs queue-type quorum, mirrored or classic, not stream",
        ),
        ("queue-type: stream\nexchange: fanout", "exchange: needs queue-type quorum"),
        (
            "workload: lock\nqueues: 2",
            "queues: workload lock has its own queues and publishes to them",
        ),
        ("workload: order\nqueues: 2\nexchange: topic", "queues, exchange: workload order has"),
    ],
)
def test_a_plan_that_cannot_be_routed_is_refused_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolved(text)
    assert problem in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    "text",
    [
        "queues: 10000",
        "queues: 500\nmessages: 500",
        "queues: 5\nexchange: headers\nfan-out: 5",
        "exchange: topic",
        "workload: lock\nqueues: 1\nexchange: default\nfan-out: 1",
    ],
)
def test_a_plan_that_can_be_routed_is_read_back(text: str) -> None:
    plan = resolved(text)
    assert resolved(plan.to_yaml()) == plan


def test_only_one_queue_and_the_default_exchange_are_plain() -> None:
    assert Plan().routing.is_plain
    assert not Plan(queues=2).routing.is_plain
    assert not Plan(exchange="topic").routing.is_plain


@st.composite
def routings(draw: st.DrawFn) -> Routing:
    queues = draw(st.integers(1, 40))
    return Routing(queues, draw(st.integers(1, queues)), "topic")


@given(routings(), st.integers(0, 10**15))
def test_each_copy_has_its_own_queue(routing: Routing, value: int) -> None:
    queues = routing.queues_of_group(routing.group_of(value))
    assert len(set(queues)) == routing.fan_out
    assert [routing.queue_of_copy(value, copy) for copy in range(routing.fan_out)] == list(queues)
    assert [routing.copy_in(value, queue) for queue in queues] == list(range(routing.fan_out))
    for queue in set(range(routing.queues)) - set(queues):
        assert routing.copy_in(value, queue) >= routing.fan_out


@given(routings(), st.integers(0, 10**6))
def test_arrays_are_routed_like_single_values(routing: Routing, first: int) -> None:
    values = np.arange(first, first + 50)
    groups = [routing.group_of(value) for value in values.tolist()]
    assert routing.group_of(values).tolist() == groups
    queues = values % routing.queues
    copies = [
        routing.copy_in(value, queue)
        for value, queue in zip(values.tolist(), queues.tolist(), strict=True)
    ]
    assert routing.copy_in(values, queues).tolist() == copies


@given(routings(), st.integers(0, 1000))
def test_consecutive_messages_are_spread_evenly(routing: Routing, round_: int) -> None:
    values = range(round_ * routing.groups, (round_ + 1) * routing.groups)
    assert Counter(map(routing.group_of, values)) == dict.fromkeys(range(routing.groups), 1)


def test_each_publisher_publishes_to_every_queue() -> None:
    # Publisher 0 of five has every fifth value, and five divides the number of queues.
    routing = Routing(queues=20)
    assert {routing.group_of(value) for value in range(0, 100, 5)} == set(range(20))
