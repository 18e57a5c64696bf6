"""Workload queue with several queues, against a broker in this process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.checkers.many_queues import many_queues
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.errors import UnreachableError
from jepsenvm.history.journal import Journal
from jepsenvm.history.nemesis_records import BINDINGS
from jepsenvm.history.op import Op
from jepsenvm.history.readers import open_history
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import Address, Delivery, Outcome, SessionLost
from jepsenvm.rabbitmq.topology_listing import Binding
from jepsenvm.workloads import (
    connections,
    consumers,
    declare_many,
    drain_many,
    node_sessions,
    pushed_consumer,
    usable_queues,
)
from jepsenvm.workloads.context import Context, QueueStatus
from jepsenvm.workloads.queue import WORKLOAD
from jepsenvm.workloads.usable_queues import queues_of_consumer

NODES = ("n1", "n2", "n3")
ADDRESSES = [Address(node, "192.0.2.1", 5672, "user", "secret") for node in NODES]
QUEUE = "jepsenvm.classic.20260101T000000.000000Z"


class FakeBroker:
    """Queues, direct exchanges and consumers, which all nodes share."""

    def __init__(self) -> None:
        self.queues: dict[str, list[bytes]] = {}
        self.bindings: set[Binding] = set()
        self.declared: dict[str, list[str]] = defaultdict(list)
        """Queues by the node through which they were declared."""
        self.exchanges: list[str] = []
        self.deleted: list[str] = []
        self.consumers: dict[str, list[FakeSession]] = defaultdict(list)
        self.down: set[str] = set()
        """Queues that no client can use."""
        self.sessions: list[FakeSession] = []
        self.silent: set[str] = set()
        """Nodes that list no bindings."""
        self.refuse: str | None = None
        """Why the next declaration fails."""

    async def connect(self, address: Address, **_: object) -> FakeSession:
        self.sessions.append(FakeSession(self, address))
        return self.sessions[-1]

    @asynccontextmanager
    async def session(self, address: Address, _: float) -> AsyncIterator[FakeSession]:
        opened = await self.connect(address)
        try:
            yield opened
        finally:
            await opened.close()

    def route(self, queue: str, body: bytes) -> None:
        taking = [session for session in self.consumers[queue] if session.lost is None]
        if taking:
            taking[0].take(queue, body)
        else:
            self.queues[queue].append(body)

    async def list_queues(self, names: Sequence[str]) -> Mapping[str, QueueStatus]:
        return {
            name: QueueStatus(len(self.queues[name]), "listed")
            if name in self.queues
            else QueueStatus(None, "gone")
            for name in names
        }

    async def list_bindings(self, node: str) -> frozenset[Binding]:
        if node in self.silent:
            raise UnreachableError("no answer", node=node)
        return frozenset(self.bindings)


class FakeSession:
    """A connection with one channel. Closing it requeues what is unacknowledged."""

    def __init__(self, broker: FakeBroker, address: Address) -> None:
        self.broker = broker
        self.address = address
        self.lost: str | None = None
        self._tags = count(1)
        self._held: dict[int, tuple[str, bytes]] = {}
        self._consumers: dict[str, Callable[[Delivery], None]] = {}

    def _lose(self, reason: str) -> None:
        if self.lost is None:
            self.lost = reason
            for queue, body in self._held.values():
                if queue in self.broker.queues:
                    self.broker.route(queue, body)

    def _require(self, queue: str) -> None:
        if self.lost is not None:
            raise SessionLost(self.lost)
        if queue not in self.broker.queues or queue in self.broker.down:
            self._lose(f"404 NOT_FOUND - no queue '{queue}'")
            raise SessionLost(self.lost or "")

    def take(self, queue: str, body: bytes) -> None:
        tag = next(self._tags)
        self._held[tag] = (queue, body)
        self._consumers[queue](Delivery(tag, body, redelivered=False))

    async def declare(self, queue: str, arguments: Mapping[str, Any]) -> None:
        assert arguments
        if self.broker.refuse:
            reason, self.broker.refuse = self.broker.refuse, None
            raise SessionLost(reason)
        await asyncio.sleep(0)
        self.broker.declared[self.address.node].append(queue)
        self.broker.queues[queue] = []

    async def delete(self, queue: str) -> None:
        assert not self.broker.declared, "old queues are deleted before others are declared"
        self.broker.deleted.append(queue)

    async def declare_exchange(self, exchange: str, type: str) -> None:
        assert type == "direct"
        self.broker.exchanges.append(exchange)

    async def bind(self, queue: str, exchange: str, key: str, arguments: Mapping[str, Any]) -> None:
        assert not arguments
        assert exchange in self.broker.exchanges
        assert queue in self.broker.queues
        self.broker.bindings.add(Binding(exchange, queue, key))

    async def require_queue(self, queue: str) -> None:
        self._require(queue)

    async def ready(self, queue: str) -> int | None:
        if queue not in self.broker.queues:
            self._lose("404 NOT_FOUND")
            return None
        return len(self.broker.queues[queue])

    async def publish(
        self, key: str, body: bytes, *, exchange: str, headers: object, timeout: float
    ) -> Outcome:
        await asyncio.sleep(0)
        assert headers is None
        targets = (
            [key]
            if not exchange
            else [
                binding.queue
                for binding in sorted(self.broker.bindings, key=str)
                if (binding.exchange, binding.key) == (exchange, key)
            ]
        )
        existing = [queue for queue in targets if queue in self.broker.queues]
        for queue in existing:
            self.broker.route(queue, body)
        return Outcome.CONFIRMED if existing else Outcome.RETURNED

    async def consume(
        self,
        queue: str,
        prefetch: int,
        deliver: Callable[[Delivery], None],
        arguments: object = None,
        tag: str | None = None,
    ) -> str:
        assert prefetch
        assert arguments is tag is None
        self._require(queue)
        self._consumers[queue] = deliver
        self.broker.consumers[queue].append(self)
        waiting, self.broker.queues[queue] = self.broker.queues[queue], []
        for body in waiting:
            self.take(queue, body)
        return queue

    async def cancel(self, tag: str) -> None:
        self.broker.consumers[tag].remove(self)

    async def get(self, queue: str) -> Delivery | None:
        self._require(queue)
        if not self.broker.queues[queue]:
            return None
        tag = next(self._tags)
        self._held[tag] = (queue, self.broker.queues[queue].pop(0))
        return Delivery(tag, self._held[tag][1], redelivered=False)

    def acknowledge_up_to(self, tag: int) -> None:
        for held in [number for number in self._held if number <= tag]:
            del self._held[held]

    def settle(self, tag: int, *, returned: bool) -> None:
        assert not returned
        del self._held[tag]

    def abandon(self, reason: str) -> None:
        self._lose(reason)

    async def close(self) -> None:
        self._lose("closed")


Act = Callable[[FakeBroker], None]


def _always(_: FakeBroker) -> bool:
    return True


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "RECONNECT_DELAY_S", 0.0)
    monkeypatch.setattr(consumers, "POLL_INTERVAL_S", 0.0)
    monkeypatch.setattr(pushed_consumer, "ACKNOWLEDGE_INTERVAL_S", 0.01)
    monkeypatch.setattr(usable_queues, "ASK_AGAIN_S", 0.0)
    monkeypatch.setattr(drain_many, "IDLE_S", 0.0)


def run(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    *,
    after_set_up: Act | None = None,
    during_load: Act | None = None,
    until: Callable[[FakeBroker], bool] = _always,
    after_load: Act | None = None,
    **keys: Any,
) -> tuple[FakeBroker, list[Op], Result]:
    """Run the workload from its set-up to its drain; return its ops, and their judgement."""
    broker, ticks = FakeBroker(), count()
    for module in (declare_many, drain_many):
        monkeypatch.setattr(module, "session", broker.session)
    for module in (connections, node_sessions):
        monkeypatch.setattr(module, "connect", broker.connect)
    plan = Plan(queue_type="classic", drain_deadline=5, **keys)
    journal = Journal(folder / "history.arrow", lambda: next(ticks))

    async def execute() -> None:
        context = Context(
            plan,
            ADDRESSES,
            QUEUE,
            journal,
            asyncio.Event(),
            list_queues=broker.list_queues,
            list_bindings=broker.list_bindings,
        )
        await WORKLOAD.setup(context, ["old.1", "old.2"])
        (after_set_up or _nothing)(broker)
        async with asyncio.timeout(60), asyncio.TaskGroup() as clients:
            for client in WORKLOAD.load(context):
                clients.create_task(client)
            while sum(counts.ok + counts.failed for counts in context.op_counts.values()) < (
                plan.messages or 0
            ):
                await asyncio.sleep(0.001)
            (during_load or _nothing)(broker)
            while not until(broker):
                await asyncio.sleep(0.001)
            context.stop.set()
        (after_load or _nothing)(broker)
        await WORKLOAD.drain(context, _never)

    asyncio.run(execute())
    journal.close()
    history = open_history(folder / "history.arrow")
    return broker, list(history.ops()), many_queues(history, routing=plan.routing)


def _nothing(_: FakeBroker) -> None:
    """Change nothing."""


async def _never(_: str) -> QueueStatus:
    raise AssertionError("no queue is asked for by itself")


DIRECT: Mapping[str, Any] = {"queues": 7, "exchange": "direct", "fan_out": 3, "messages": 60}


@pytest.mark.parametrize(
    "keys",
    [
        {"queues": 7, "messages": 60},
        DIRECT,
        {**DIRECT, "consumers": 2},
        {**DIRECT, "consumers": 9, "consume": "mixed"},
        {**DIRECT, "consumers": 3, "consume": "polling"},
        {"queues": 1, "exchange": "direct", "messages": 60, "consumers": 2},
    ],
    ids=str,
)
def test_every_copy_comes_out_of_its_queue(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys: Mapping[str, Any]
) -> None:
    def until(broker: FakeBroker) -> bool:
        return "consumers" not in keys or not any(broker.queues.values())

    broker, ops, result = run(monkeypatch, tmp_path, until=until, **keys)
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())
    assert result.figures["ok-count"] == 60 * keys.get("fan_out", 1)
    assert not any(broker.queues.values())
    drain = next(op for op in ops if (op.type, op.f) == ("ok", "drain"))
    assert (drain.data["received"] == result.figures["ok-count"]) != ("consumers" in keys)


def test_queues_are_declared_through_all_nodes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broker, _, _ = run(monkeypatch, tmp_path, **DIRECT)
    assert broker.deleted == ["old.1", "old.2"]
    assert {node: len(queues) for node, queues in broker.declared.items()} == {
        "n1": 3,
        "n2": 2,
        "n3": 2,
    }
    assert broker.exchanges == [QUEUE]
    assert len(broker.bindings) == 9
    assert len(broker.sessions) < 40, "each node has one connection for each step"


def test_an_error_of_one_node_ends_the_set_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    connect = FakeBroker.connect

    async def refusing(self: FakeBroker, address: Address, **options: object) -> FakeSession:
        self.refuse = None if self.declared else "503 TEMPORARY"
        return await connect(self, address, **options)

    monkeypatch.setattr(FakeBroker, "connect", refusing)
    with pytest.raises(SessionLost, match="503 TEMPORARY"):
        run(monkeypatch, tmp_path, **DIRECT)


def test_a_queue_without_a_consumer_does_not_keep_the_others_from_being_consumed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def lose(broker: FakeBroker) -> None:
        broker.down.add(f"{QUEUE}.2")

    def regain(broker: FakeBroker) -> None:
        assert not broker.consumers[f"{QUEUE}.2"]
        assert len(broker.consumers[f"{QUEUE}.3"]) == 1
        broker.down.clear()

    def is_consumed(broker: FakeBroker) -> bool:
        return bool(broker.consumers[f"{QUEUE}.2"])

    _, ops, result = run(
        monkeypatch,
        tmp_path,
        after_set_up=lose,
        during_load=regain,
        until=is_consumed,
        queues=5,
        messages=100,
        consumers=1,
    )
    assert result.verdict is Verdict.VALID
    drain = next(op for op in ops if (op.type, op.f) == ("ok", "drain"))
    assert drain.data["received"] == 0, "it is consumed once it is served again"


def test_a_queue_that_is_gone_is_named_and_the_others_are_drained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def delete(broker: FakeBroker) -> None:
        del broker.queues[f"{QUEUE}.2"]
        broker.bindings = {each for each in broker.bindings if each.queue != f"{QUEUE}.2"}

    _, ops, result = run(monkeypatch, tmp_path, after_load=delete, **DIRECT)
    drain = next(op for op in ops if (op.type, op.f) == ("ok", "drain"))
    assert (drain.data["gone"], drain.data["gone-queues"]) == ([f"{QUEUE}.2"], [2])
    assert drain.data["broker"] == "6 empty queues and 1 that are gone from every node"
    assert result.verdict is Verdict.UNKNOWN  # there was no fault
    assert result.figures["undecided-count"] > 0


def test_a_queue_that_never_gets_empty_makes_the_drain_info(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def lose(broker: FakeBroker) -> None:
        broker.down.add(f"{QUEUE}.2")

    _, ops, result = run(monkeypatch, tmp_path, after_load=lose, queues=3, messages=9)
    assert [op.error for op in ops if (op.type, op.f) == ("info", "drain")] == [
        "not empty after 5 s"
    ]
    assert (result.verdict, result.figures["undecided-count"]) == (Verdict.UNKNOWN, 3)


def test_missing_bindings_and_silent_nodes_are_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unbind(broker: FakeBroker) -> None:
        broker.bindings.remove(Binding(QUEUE, f"{QUEUE}.1", "0"))
        broker.silent.add("n3")

    _, ops, result = run(monkeypatch, tmp_path, after_load=unbind, **DIRECT)
    (record,) = [op for op in ops if op.f == BINDINGS]
    assert record.data["missing"] == [
        {"queue": f"{QUEUE}.1", "exchange": QUEUE, "key": "0", "nodes": ["n1", "n2"]}
    ]
    assert list(record.data["silent"]) == ["n3"]
    assert result.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("queues", [1, 2, 5, 500])
@pytest.mark.parametrize("consumers_", [1, 2, 5, 7, 600])
def test_each_queue_has_a_consumer_and_each_consumer_a_queue(queues: int, consumers_: int) -> None:
    shares = [queues_of_consumer(queues, consumers_, index) for index in range(consumers_)]
    assert all(shares)
    assert sorted({queue for share in shares for queue in share}) == list(range(queues))
    if consumers_ <= queues:
        assert sum(map(len, shares)) == queues
