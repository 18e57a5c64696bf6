"""The names of queues and exchanges, and bindings that route each message to its queues."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.plan.plan import Plan
from jepsenvm.plan.routing import ExchangeType, Routing
from jepsenvm.rabbitmq.finished_runs import run_of_queue
from jepsenvm.rabbitmq.policies import of_run
from jepsenvm.workloads.routes import QueueBinding, Route, Routes

RUN = "20260101T000000.000000Z"
QUEUE = f"jepsenvm.classic.{RUN}"


def test_a_plain_run_publishes_to_its_queue() -> None:
    routes = Routes(Plan().routing, QUEUE)
    assert routes.of(17) == Route(QUEUE)
    assert routes.queues == (QUEUE,)
    assert not routes.exchanges
    assert not routes.bindings


def test_names_are_those_of_the_run() -> None:
    routes = Routes(Routing(11, 2, "fanout"), QUEUE)
    assert routes.queues[0] == routes.exchanges[0] == QUEUE
    assert routes.queues[10] == f"{QUEUE}.10"
    assert len(set(routes.queues)) == 11
    assert len(set(routes.exchanges)) == 6
    for name in (*routes.queues, *routes.exchanges):
        # So they are deleted with the run, and the policy of mirrored queues matches them.
        assert run_of_queue(name) == RUN
        assert name.startswith(QUEUE)
    assert of_run(QUEUE)


def routed_to(routes: Routes, type_: ExchangeType, value: int) -> list[str]:
    """Return the queues that a broker would choose for a message."""
    route = routes.of(value)
    return [
        binding.queue
        for binding in routes.bindings
        if binding.exchange == route.exchange and matches(type_, binding, route)
    ]


def matches(type_: ExchangeType, binding: QueueBinding, route: Route) -> bool:
    match type_:
        case "fanout":
            return True
        case "headers":
            wanted = dict(binding.arguments)
            assert wanted.pop("x-match") == "all"
            return wanted.items() <= (route.headers or {}).items()
        case "topic":
            first, group, rest = binding.key.split(".")
            assert (first, rest) == ("*", "#")
            return fnmatch.fnmatchcase(route.key, f"*.{group}.*")
        case _:
            return binding.key == route.key


@pytest.mark.parametrize("type_", ["direct", "topic", "fanout", "headers"])
@given(st.data())
def test_the_bindings_route_each_message_to_its_queues(
    type_: ExchangeType, data: st.DataObject
) -> None:
    queues = data.draw(st.integers(1, 30))
    routing = Routing(queues, data.draw(st.integers(1, queues)), type_)
    value = data.draw(st.integers(0, 10**6))
    routes = Routes(routing, QUEUE)
    expected = [
        routes.queue_name(number) for number in routing.queues_of_group(routing.group_of(value))
    ]
    assert sorted(routed_to(routes, type_, value)) == sorted(expected)
    keys = [(binding.queue, binding.exchange, binding.key) for binding in routes.bindings]
    assert len(set(keys)) == len(keys)


def test_the_default_exchange_routes_by_the_name_of_the_queue() -> None:
    routes = Routes(Routing(3), QUEUE)
    assert [routes.of(value).key for value in range(4)] == [
        QUEUE,
        f"{QUEUE}.1",
        f"{QUEUE}.2",
        f"{QUEUE}.1",
    ]
