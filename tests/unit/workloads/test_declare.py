"""Declaring queues: the order, and the replicas that a new stream must have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jepsenvm.errors import RunError
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import Address, SessionLost
from jepsenvm.workloads import declare as declare_module
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.declare import declare

ADDRESSES = [Address(node, "192.0.2.1", 5672, "user", "secret") for node in ("n1", "n2", "n3")]
STREAM = {"x-queue-type": "stream"}
QUORUM = {"x-queue-type": "quorum"}


class FakeBroker:
    """Records what it is asked for; refuses consumers on some nodes."""

    def __init__(self, *without_replica: str) -> None:
        self.without_replica = without_replica
        self.calls: list[tuple[str, str, str]] = []

    @asynccontextmanager
    async def session(self, address: Address, _: float) -> AsyncIterator[FakeSession]:
        yield FakeSession(self, address.node)


class FakeSession:
    """The part of a session that declarations use."""

    def __init__(self, broker: FakeBroker, node: str) -> None:
        self._broker, self._node = broker, node

    async def delete(self, queue: str) -> None:
        self._broker.calls.append(("delete", self._node, queue))

    async def declare(self, queue: str, arguments: Mapping[str, Any]) -> None:
        assert arguments
        self._broker.calls.append(("declare", self._node, queue))

    async def consume(
        self, queue: str, prefetch: int, _deliver: object, arguments: Mapping[str, Any]
    ) -> str:
        assert (prefetch, arguments) == (1, {"x-stream-offset": "next"})
        if self._node in self._broker.without_replica:
            raise SessionLost("406 PRECONDITION_FAILED - no replica on the local node")
        self._broker.calls.append(("consume", self._node, queue))
        return "tag"


def declared(
    monkeypatch: pytest.MonkeyPatch,
    broker: FakeBroker,
    queues: Mapping[str, Mapping[str, Any]],
    old: Sequence[str] = (),
) -> list[tuple[str, str, str]]:
    monkeypatch.setattr(declare_module, "session", broker.session)
    journal: Any = None

    async def run() -> None:
        context = Context(Plan(), ADDRESSES, "new", journal, asyncio.Event())
        await declare(context, old, queues)

    asyncio.run(run())
    return broker.calls


def test_old_queues_are_deleted_and_new_ones_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = declared(monkeypatch, FakeBroker(), {"a": QUORUM, "b": QUORUM}, ["old"])
    assert calls == [("delete", "n1", "old"), ("declare", "n1", "a"), ("declare", "n1", "b")]


def test_every_node_must_serve_the_readers_of_a_new_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = declared(monkeypatch, FakeBroker(), {"new": STREAM})
    assert calls[0] == ("declare", "n1", "new")
    assert sorted(calls[1:]) == [("consume", node, "new") for node in ("n1", "n2", "n3")]


def test_a_stream_without_a_replica_on_one_node_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(RunError, match="no replica of the stream new serves readers: 406") as error:
        declared(monkeypatch, FakeBroker("n3"), {"new": STREAM})
    assert "n3" in str(error.value)
