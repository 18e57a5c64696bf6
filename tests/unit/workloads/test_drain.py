"""The drains of queues, streams and locks, against a broker in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest

from jepsenvm.checkers.total_queue import END
from jepsenvm.checkers.unacknowledged import UNACKNOWLEDGED
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import Op
from jepsenvm.history.readers import open_history
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import Address, Delivery, Outcome, SessionLost
from jepsenvm.workloads import drain as drain_module
from jepsenvm.workloads import lock, queue, stream
from jepsenvm.workloads.bodies import FIRST_CORRUPTED, bodies_of
from jepsenvm.workloads.context import Context, QueueStatus
from jepsenvm.workloads.registry import WORKLOADS

T = TypeVar("T")


class FakeBroker:
    """One queue or stream that every session sees."""

    def __init__(self, *values: int) -> None:
        self.bodies = [str(value).encode() for value in values]
        self.acknowledged = 0
        self.refusals: dict[str, list[SessionLost]] = {}
        """Errors of the next consumers, by node."""
        self.lost_after: int | None = None
        """Deliveries after which the first consumer's session is lost."""
        self.gone = False

    async def status(self, _: str) -> QueueStatus:
        """Report an empty queue; the drain must ask over AMQP too."""
        return QueueStatus(0, "ready 0, unacknowledged 0", 0)

    @asynccontextmanager
    async def session(self, address: Address, _: float) -> AsyncIterator[FakeSession]:
        yield FakeSession(self, address)


class FakeSession:
    """What drains use of a session."""

    def __init__(self, broker: FakeBroker, address: Address) -> None:
        self.broker = broker
        self.address = address
        self.lost: str | None = None
        self._taken = 0
        self._delivered = 0

    async def ready(self, _: str) -> int | None:
        return None if self.broker.gone else len(self.broker.bodies)

    async def consume(
        self,
        queue: str,
        prefetch: int,
        deliver: Callable[[Delivery], None],
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """Deliver every message, as a stream if there is an offset."""
        assert queue
        assert prefetch
        if refusals := self.broker.refusals.get(self.address.node):
            raise refusals.pop()
        first = (arguments or {}).get("x-stream-offset", "first")
        for offset, body in enumerate(self.broker.bodies):
            # As the broker does, send the whole chunk, here of two records, that has the offset.
            if first != "first" and offset < first // 2 * 2:
                continue
            deliver(
                Delivery(offset + 1, body, redelivered=False, headers={"x-stream-offset": offset})
            )
        if not arguments:
            self.broker.bodies = []
        return "tag"

    async def publish(self, _: str, body: bytes, **_route: object) -> Outcome:
        self.broker.bodies.append(body)
        return Outcome.CONFIRMED

    async def get(self, _: str) -> Delivery | None:
        if self._taken == len(self.broker.bodies):
            return None
        self._taken += 1
        return Delivery(self._taken, b"lock", redelivered=False)

    async def cancel(self, tag: str) -> None:
        assert tag == "tag"

    async def unless_lost(self, awaited: Coroutine[Any, Any, T]) -> T:
        if self.broker.lost_after == self._delivered:
            awaited.close()
            self.broker.lost_after = None
            raise SessionLost("[Errno 104] Connection reset by peer")
        self._delivered += 1
        return await awaited

    def acknowledge_up_to(self, tag: int) -> None:
        self.broker.acknowledged = tag

    def settle(self, tag: int, *, returned: bool) -> None:
        assert tag
        assert not returned


def drained(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    broker: FakeBroker,
    drain: Callable[[Context], Awaitable[None]],
    **keys: Any,
) -> list[Op]:
    """Run a drain; return its ops without the invocations of dequeues."""
    for module in (drain_module, stream, lock):
        monkeypatch.setattr(module, "session", broker.session)
    monkeypatch.setattr(drain_module, "IDLE_S", 0.0)
    monkeypatch.setattr(stream, "RETRY_DELAY_S", 0.0)
    ticks = count()
    journal = Journal(folder / "history.arrow", lambda: next(ticks))

    async def run() -> None:
        addresses = [Address(node, "192.0.2.1", 5672, "user", "secret") for node in ("n1", "n2")]
        plan = Plan(drain_deadline=0.2, **keys)
        await drain(Context(plan, addresses, "jepsenvm.quorum.x", journal, asyncio.Event()))

    asyncio.run(run())
    journal.close()
    ops = open_history(folder / "history.arrow").ops()
    return [op for op in ops if (op.type, op.f) != ("invoke", "dequeue")]


def summary(ops: list[Op]) -> list[tuple[str, str, object]]:
    return [(op.type, op.f, op.value) for op in ops]


async def one_unacknowledged(_: str) -> QueueStatus:
    """Report a message that some client holds."""
    await asyncio.sleep(0)  # lets the deadline pass
    return QueueStatus(1, "ready 0, unacknowledged 1", 1)


def test_a_queue_is_drained_until_it_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = FakeBroker(1, 2, 3)
    ops = drained(
        tmp_path, monkeypatch, broker, lambda context: queue.WORKLOAD.drain(context, broker.status)
    )
    dequeues = [("ok", "dequeue", value) for value in (1, 2, 3)]
    assert summary(ops) == [("invoke", "drain", None), *dequeues, ("ok", "drain", None)]
    assert ops[-1].data == {"received": 3, "broker": "ready 0, unacknowledged 0"}
    assert broker.acknowledged == 3


def test_a_drain_consumes_nothing_through_a_subscription_without_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker delivered, but its answer to the subscription did not come in time."""
    broker = FakeBroker(1)
    consume = FakeSession.consume

    async def unanswered(self: FakeSession, *arguments: Any) -> str:
        bodies = self.broker.bodies
        tag = await consume(self, *arguments)
        if bodies and self.address.node == "n1":
            self.lost = "the broker closed the connection"
            raise SessionLost(self.lost)
        return tag

    monkeypatch.setattr(FakeSession, "consume", unanswered)
    ops = drained(
        tmp_path, monkeypatch, broker, lambda context: queue.WORKLOAD.drain(context, broker.status)
    )
    dequeues = [(op.type, op.value, op.data) for op in ops if op.f == "dequeue"]
    assert dequeues == [("ok", 1, None), ("fail", 1, {UNACKNOWLEDGED: True})]


def test_a_drain_is_in_doubt_if_the_broker_still_has_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = FakeBroker(1)
    ops = drained(
        tmp_path,
        monkeypatch,
        broker,
        lambda context: queue.WORKLOAD.drain(context, one_unacknowledged),
    )
    assert summary(ops)[-1] == ("info", "drain", None)
    assert ops[-1].error == "not empty after 0.2 s"


def test_a_stream_is_read_through_every_node_to_its_last_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = FakeBroker(7, 8)
    ops = drained(
        tmp_path,
        monkeypatch,
        broker,
        lambda context: stream.WORKLOAD.drain(context, broker.status),
        workload="stream",
        queue_type="stream",
    )
    assert summary(ops)[:2] == [("invoke", "enqueue", END), ("ok", "enqueue", END)]
    for node in ("n1", "n2"):
        reads = [(op.value, op.offset) for op in ops if (op.f, op.node) == ("read", node)]
        assert reads == [(7, 0), (8, 1), (END, 2)]
        (end,) = [op for op in ops if (op.type, op.f, op.node) == ("ok", "end", node)]
        assert end.offset == 2


def test_a_reader_retries_and_resumes_until_it_has_read_the_whole_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica may start after the drain, and a session may be lost while it reads."""
    broker = FakeBroker(7, 8, 9)
    broker.refusals["n2"] = [SessionLost("406 PRECONDITION_FAILED - no replica")] * 2
    broker.lost_after = 1
    ops = drained(
        tmp_path,
        monkeypatch,
        broker,
        lambda context: stream.WORKLOAD.drain(context, broker.status),
        workload="stream",
        queue_type="stream",
    )
    for node in ("n1", "n2"):
        reads = [(op.value, op.offset) for op in ops if (op.f, op.node) == ("read", node)]
        assert reads == [(7, 0), (8, 1), (9, 2), (END, 3)]
        assert [op.type for op in ops if (op.f, op.node) == ("end", node)] == ["invoke", "ok"]


def test_a_reader_that_is_always_refused_is_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = FakeBroker(7)
    broker.refusals["n2"] = [SessionLost("406 PRECONDITION_FAILED - no replica")] * 1_000_000
    ops = drained(
        tmp_path,
        monkeypatch,
        broker,
        lambda context: stream.WORKLOAD.drain(context, broker.status),
        workload="stream",
        queue_type="stream",
    )
    (end,) = [op for op in ops if (op.type, op.f) == ("info", "end")]
    assert (end.node, end.error) == ("n2", "the end was not read within 0.2 s")


@pytest.mark.parametrize("workload", ["stream", "queue"])
def test_a_corrupted_record_of_a_stream_is_recorded(
    workload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = bodies_of(Plan(message_size=(64, 200), seed=5), 2)
    broker = FakeBroker()
    broker.bodies = [bodies.of(7), bodies.of(8)[:-1] + b"?", bodies.of(9)]
    ops = drained(
        tmp_path,
        monkeypatch,
        broker,
        lambda context: WORKLOADS[workload].drain(context, broker.status),
        workload=workload,
        queue_type="stream",
        message_size=(64, 200),
        seed=5,
    )
    records = [op for op in ops if op.f in ("read", "dequeue")]
    readers = 2 if workload == "stream" else 1
    good = [op.value for op in records if op.data is None]
    assert sorted(good) == sorted([7, 9, END] * readers)
    bad = [op for op in records if op.data is not None]
    assert len(bad) == readers
    assert all(op.value <= FIRST_CORRUPTED and op.data["corrupted"] for op in bad)


def test_workload_queue_reads_a_stream_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = FakeBroker(7, 8)
    ops = drained(
        tmp_path,
        monkeypatch,
        broker,
        lambda context: queue.WORKLOAD.drain(context, broker.status),
        queue_type="stream",
    )
    assert summary(ops) == [
        ("invoke", "drain", None),
        ("invoke", "enqueue", END),
        ("ok", "enqueue", END),
        *[("ok", "dequeue", value) for value in (7, 8, END)],
        ("ok", "drain", None),
    ]


@pytest.mark.parametrize("messages", [0, 1, 2])
def test_the_drain_of_a_lock_counts_its_messages(
    messages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = FakeBroker(*range(messages))
    ops = drained(
        tmp_path,
        monkeypatch,
        broker,
        lambda context: lock.WORKLOAD.drain(context, broker.status),
        workload="lock",
    )
    assert summary(ops) == [("invoke", "tokens", None), ("ok", "tokens", messages)]


def test_a_lock_is_counted_only_when_no_client_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = FakeBroker(1)
    ops = drained(
        tmp_path,
        monkeypatch,
        broker,
        lambda context: lock.WORKLOAD.drain(context, one_unacknowledged),
        workload="lock",
    )
    assert summary(ops) == [("invoke", "tokens", None), ("info", "tokens", None)]


def test_a_drain_records_a_queue_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_: str) -> QueueStatus:
        return QueueStatus(None, "that the queue is gone from every node")

    broker = FakeBroker()
    broker.gone = True
    ops = drained(
        tmp_path, monkeypatch, broker, lambda context: queue.WORKLOAD.drain(context, gone)
    )
    assert ops[-1].type == "ok"
    assert ops[-1].data == {
        "received": 0,
        "broker": "that the queue is gone from every node",
        "gone": ["jepsenvm.quorum.x"],
    }
