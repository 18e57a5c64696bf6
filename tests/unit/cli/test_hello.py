"""jepsenvm hello: one message through each node, with fake AMQP sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jepsenvm.cli import hello
from jepsenvm.experiment import hello as greeting
from jepsenvm.rabbitmq.amqp import Address, Delivery, Outcome, SessionLost
from jepsenvm.rabbitmq.credentials import Credentials
from tests.unit.cli.conftest import Inventories, Jepsenvm, assert_one_line, json_of


class Broker:
    """Keeps the messages of all queues; ``down`` are the nodes that refuse connections."""

    def __init__(self) -> None:
        self.queues: dict[str, list[bytes]] = {}
        self.down: set[str] = set()
        self.silent = False
        self.outcome = Outcome.CONFIRMED

    async def connect(self, address: Address) -> Session:
        if address.node in self.down:
            raise SessionLost("[Errno 111] Connection refused")
        if self.silent:
            await asyncio.Event().wait()
        return Session(self)


class Session:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def declare(self, queue: str, _arguments: object) -> None:
        self._broker.queues[queue] = []

    async def publish(self, queue: str, body: bytes) -> Outcome:
        self._broker.queues[queue].append(body)
        return self._broker.outcome

    async def consume(
        self, queue: str, _prefetch: int, deliver: Callable[[Delivery], None]
    ) -> None:
        delivery: Any = type("Delivery", (), {"tag": 1, "body": self._broker.queues[queue][0]})
        deliver(delivery)

    async def delete(self, queue: str) -> None:
        del self._broker.queues[queue]

    def acknowledge_up_to(self, _tag: int) -> None: ...

    def abandon(self, _reason: str) -> None: ...


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, inventories: Inventories) -> Broker:
    fake = Broker()
    monkeypatch.setattr(greeting, "connect", fake.connect)
    monkeypatch.setattr(greeting, "credentials", lambda _: Credentials("u", "p"))
    monkeypatch.setattr(hello, "inventory_for", inventories)
    return fake


def test_each_node_confirms_and_another_delivers(jepsenvm: Jepsenvm, broker: Broker) -> None:
    result = jepsenvm("hello")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "n1: confirmed, and back through n2",
        "n2: confirmed, and back through n1",
    ]
    assert broker.queues == {}


def test_a_node_that_is_down_is_named(jepsenvm: Jepsenvm, broker: Broker) -> None:
    broker.down = {"n2"}
    result = jepsenvm("hello")
    assert_one_line(result, 255, "no hello from n1, n2", "jepsenvm doctor")
    assert "n2: FAILED: [Errno 111] Connection refused" in result.stdout


def test_a_message_that_is_not_confirmed_is_a_failure(jepsenvm: Jepsenvm, broker: Broker) -> None:
    broker.outcome = Outcome.RETURNED
    result = jepsenvm("hello")
    assert_one_line(result, 255, "no hello from n1, n2")
    assert "n1: FAILED: the broker answered returned" in result.stdout


def test_no_answer_within_the_deadline_is_named(
    jepsenvm: Jepsenvm, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greeting, "DEADLINE_S", 0)
    broker.silent = True
    result = jepsenvm("hello")
    assert result.exit_code == 255
    assert "n1: FAILED: no answer within 0 s" in result.stdout


def test_bad_usage_names_the_option(jepsenvm: Jepsenvm, broker: Broker) -> None:
    assert_one_line(jepsenvm("hello", "--patience", "x"), 254, "--patience")


def test_help_names_the_options(jepsenvm: Jepsenvm) -> None:
    text = jepsenvm("hello", "--help").stdout
    for word in ("--inventory", "--existing", "--patience"):
        assert word in text


def test_json(jepsenvm: Jepsenvm, broker: Broker) -> None:
    result = jepsenvm("hello", "--json")
    assert json_of(result, "hello") == {"nodes": {"n1": True, "n2": True}}
    broker.outcome = Outcome.RETURNED
    failed = json_of(jepsenvm("hello", "--json"), "hello", 255)
    assert failed == {"nodes": {"n1": False, "n2": False}}
