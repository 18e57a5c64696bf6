"""Consumers that the broker cancels, or delivers nothing to, subscribe again, and it is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from jepsenvm.checkers.exceptions import exceptions
from jepsenvm.checkers.unacknowledged import UNACKNOWLEDGED
from jepsenvm.history.journal import Journal
from jepsenvm.history.readers import open_history
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq import amqp
from jepsenvm.rabbitmq.amqp import CANCELLED, Address, Delivery, Session
from jepsenvm.workloads import consumers, reconnecting, redelivery, silence
from jepsenvm.workloads.connections import process_numbers
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.silence import SILENT

ADDRESS = Address("n1", "10.0.0.1", 5672, "user", "password")


class FakeSession:
    """A session of a consumer; ``broker`` decides what becomes of it."""

    def __init__(self, broker: FakeBroker) -> None:
        self.address = ADDRESS
        self.lost: str | None = None
        self._broker = broker

    async def consume(
        self,
        _queue: str,
        _prefetch: int,
        deliver: Callable[[Delivery], None],
        tag: str | None = None,
    ) -> str:
        self._broker.subscribed(self, deliver)
        return tag or "tag"

    async def ready(self, _queue: str) -> int:
        return self._broker.ready

    async def cancel(self, _tag: str) -> None: ...

    async def close(self) -> None: ...

    def acknowledge_up_to(self, _tag: int) -> None: ...

    def settle(self, _tag: int, *, returned: bool) -> None: ...

    def abandon(self, reason: str) -> None:
        self.lost = self.lost or reason


class FakeBroker:
    """Cancels the first consumer, or delivers nothing to it; the second gets a message."""

    def __init__(self, context: Context, *, cancels: bool, ready: int = 5) -> None:
        self.context = context
        self.cancels = cancels
        self.ready = ready
        self.sessions: list[FakeSession] = []

    async def connect(self, *_: object, **__: object) -> FakeSession:
        return FakeSession(self)

    def subscribed(self, session: FakeSession, deliver: Callable[[Delivery], None]) -> None:
        self.sessions.append(session)
        if len(self.sessions) == 1:
            if self.cancels:
                session.abandon(CANCELLED)
            return
        deliver(Delivery(1, b"7", redelivered=False))
        self.context.stop.set()


def context(folder: Path, **keys: Any) -> Context:
    ticks = count()
    journal = Journal(folder / "history.arrow", lambda: next(ticks))
    return Context(Plan(**keys), [ADDRESS], "jepsenvm.quorum.x", journal, asyncio.Event())


@pytest.mark.parametrize("workload", ["queue", "redelivery"])
@pytest.mark.parametrize(("cancels", "reason"), [(True, CANCELLED), (False, SILENT)])
def test_a_consumer_that_gets_nothing_any_more_subscribes_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, workload: str, cancels: bool, reason: str
) -> None:
    async def consume() -> FakeBroker:
        run_context = context(tmp_path)
        broker = FakeBroker(run_context, cancels=cancels)
        for module in (consumers, redelivery):
            monkeypatch.setattr(module, "RECONNECT_DELAY_S", 0.0)
        monkeypatch.setattr(reconnecting, "connect_with_retries", broker.connect)
        monkeypatch.setattr(silence, "SILENT_S", 0.05)
        monkeypatch.setattr(silence, "RECHECK_S", 0.05)
        (processes,) = process_numbers(1)
        if workload == "queue":
            (task,) = consumers.consumers(run_context, [processes])
        else:
            task = redelivery._consume(run_context, ADDRESS, processes, Random(1))
        async with asyncio.timeout(30):
            await task
        run_context.journal.close()
        return broker

    broker = asyncio.run(consume())
    assert len(broker.sessions) == 2
    ops = list(open_history(tmp_path / "history.arrow").ops())
    assert [(op.type, op.process, op.error) for op in ops if op.type != "invoke"] == [
        ("info", 0, f"{reason}; it subscribes again"),
        ("ok", 1, None),
    ]
    (error,) = exceptions(open_history(tmp_path / "history.arrow")).figures["errors"]
    assert (error["f"], error["count"], error["nodes"]) == ("dequeue", 1, {"n1": 1})


def test_a_polling_consumer_that_loses_its_session_acknowledged_nothing(tmp_path: Path) -> None:
    class Polled(FakeSession):
        async def get(self, _queue: str) -> Delivery:
            self.lost = "[Errno 104] Connection reset by peer"
            return Delivery(1, b"7", redelivered=False)

    async def poll() -> None:
        run_context = context(tmp_path, consume="polling", consumers=1)
        (processes,) = process_numbers(1)
        next(processes)
        session: Any = Polled(FakeBroker(run_context, cancels=False))
        await consumers._poll(run_context, processes, [0], session)
        run_context.journal.close()

    asyncio.run(poll())
    ops = [op for op in open_history(tmp_path / "history.arrow").ops() if op.type != "invoke"]
    assert [(op.type, op.value, op.data) for op in ops] == [
        ("ok", 7, None),
        ("fail", 7, {UNACKNOWLEDGED: True}),
    ]


def test_a_consumer_of_an_empty_queue_is_not_silent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def consume() -> FakeBroker:
        run_context = context(tmp_path)
        broker = FakeBroker(run_context, cancels=False, ready=0)
        monkeypatch.setattr(reconnecting, "connect_with_retries", broker.connect)
        monkeypatch.setattr(silence, "SILENT_S", 0.0)
        (processes,) = process_numbers(1)
        (task,) = consumers.consumers(run_context, [processes])
        running = asyncio.create_task(task)
        await asyncio.sleep(0.5)
        run_context.stop.set()
        await running
        run_context.journal.close()
        return broker

    assert len(asyncio.run(consume()).sessions) == 1


def test_a_consumer_that_the_broker_cancels_loses_its_session() -> None:
    closed: list[bool] = []

    class Connection:
        is_open = True

        def close(self) -> None:
            closed.append(True)

    registered: dict[str, Any] = {}

    class Channel:
        is_open = True

        def __getattr__(self, name: str) -> Any:
            return lambda *arguments, **_: registered.setdefault(name, arguments)

        def confirm_delivery(self, _on_confirmation: Any, callback: Any) -> None:
            callback()

    async def cancel() -> Session:
        connection: Any = Connection()
        connection.channel = lambda on_open_callback: on_open_callback(Channel())
        session = Session(ADDRESS, connection)
        await session._open_channel()
        registered["add_on_cancel_callback"][0](SimpleNamespace())
        with pytest.raises(amqp.SessionLost, match=CANCELLED):
            await session.ready("q")
        return session

    assert asyncio.run(cancel()).lost == CANCELLED
    assert closed == [True]
