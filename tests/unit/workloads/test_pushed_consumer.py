"""Pushed consumers that churn, crash, are slow, or hold a message past the consumer timeout."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.checkers.new_subscriptions import CAUSE
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import Op
from jepsenvm.history.readers import open_history
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import Address, Delivery, is_consumer_timeout
from jepsenvm.workloads import consumers, pushed_consumer, reconnecting, silence
from jepsenvm.workloads.connections import process_numbers
from jepsenvm.workloads.consumer_schedule import consumer_schedule
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.reader import Reader

ADDRESS = Address("n1", "10.0.0.1", 5672, "user", "password")
TIMED_OUT = (
    "406 PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: "
    "60000 ms. This timeout value can be configured, see consumers doc guide to learn more"
)


class FakeSession:
    """A session that records what its consumer asks for, in the broker's list."""

    def __init__(self, broker: FakeBroker) -> None:
        self.address = ADDRESS
        self.lost: str | None = None
        self._broker = broker
        self._number = len(broker.sessions) + 1
        self._tags = count(1)
        self.deliver: Callable[[Delivery], None]

    def push(self, value: int) -> None:
        """Deliver a message."""
        self.deliver(Delivery(next(self._tags), b"%d" % value, redelivered=False))

    async def consume(
        self,
        _queue: str,
        _prefetch: int,
        deliver: Callable[[Delivery], None],
        tag: str | None = None,
    ) -> str:
        self.deliver = deliver
        tag = tag or f"tag {next(self._broker.tags)}"
        self._broker.did("subscribe", self._number, tag)
        self._broker.subscribed(self)
        return tag

    async def cancel(self, tag: str) -> None:
        self._broker.did("cancel", self._number, tag)

    def acknowledge_up_to(self, tag: int) -> None:
        self._broker.did("acknowledge up to", self._number, tag)

    def settle(self, tag: int, *, returned: bool) -> None:
        assert not returned
        self._broker.did("acknowledge", self._number, tag)

    async def ready(self, _queue: str) -> int:
        self._broker.did("ready", self._number, None)
        return 1

    def break_off(self, reason: str) -> None:
        self._broker.did("break off", self._number, None)
        self.lost = reason

    async def close(self) -> None:
        self._broker.did("close", self._number, None)
        self.lost = "closed"

    def abandon(self, reason: str) -> None:
        if self.lost is None or is_consumer_timeout(self.lost):
            self._broker.did("abandon", self._number, None)
        self.lost = self.lost or reason


class FakeBroker:
    """Does with each subscription what the test says, and ends the load after a number of them."""

    def __init__(self, context: Context, on: Callable[[FakeSession, int], None], ends: int) -> None:
        self._context = context
        self._on = on
        self._ends = ends
        self._subscriptions = count(1)
        self.sessions: list[FakeSession] = []
        self.tags = count(1)
        self.calls: list[tuple[str, int, Any]] = []

    async def connect(self, *_: object, **__: object) -> FakeSession:
        self.sessions.append(FakeSession(self))
        return self.sessions[-1]

    def did(self, what: str, session: int, detail: object) -> None:
        self.calls.append((what, session, detail))

    def subscribed(self, session: FakeSession) -> None:
        number = next(self._subscriptions)
        self._on(session, number)
        if number == self._ends:
            self._context.stop.set()

    def called(self, *names: str) -> list[tuple[str, Any]]:
        """Return the calls of these names, in order, without their sessions."""
        return [(name, detail) for name, _, detail in self.calls if name in names]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "RECONNECT_DELAY_S", 0.0)
    monkeypatch.setattr(pushed_consumer, "ACKNOWLEDGE_INTERVAL_S", 0.01)


def consumed(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    on: Callable[[FakeSession, int], None],
    *,
    ends: int,
    single_active: bool = False,
    **keys: Any,
) -> tuple[FakeBroker, list[Op]]:
    """Run one consumer; return the broker, and the completed ops."""

    async def run() -> FakeBroker:
        ticks = count()
        journal = Journal(folder / "history.arrow", lambda: next(ticks))
        plan = Plan(consumers=1, seed=1, **keys)
        context = Context(plan, [ADDRESS], "jepsenvm.quorum.x", journal, asyncio.Event())
        broker = FakeBroker(context, on, ends)
        monkeypatch.setattr(reconnecting, "connect_with_retries", broker.connect)
        (consumer,) = consumers.consumers(context, process_numbers(1), single_active=single_active)
        async with asyncio.timeout(60):
            await consumer
        journal.close()
        return broker

    broker = asyncio.run(run())
    ops = open_history(folder / "history.arrow").ops()
    return broker, [op for op in ops if op.type != "invoke"]


def one_message(session: FakeSession, number: int) -> None:
    session.push(number)


def nothing(_session: FakeSession, _number: int) -> None:
    """Deliver nothing."""


def test_churn_takes_the_old_tag_and_a_new_one_in_turn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broker, ops = consumed(monkeypatch, tmp_path, one_message, ends=5, consumer_churn=0.1)
    assert len(broker.sessions) == 1, "all subscriptions are on one channel"
    assert broker.called("subscribe", "cancel") == [
        ("subscribe", "tag 1"),
        ("cancel", "tag 1"),
        ("subscribe", "tag 1"),
        ("cancel", "tag 1"),
        ("subscribe", "tag 2"),
        ("cancel", "tag 2"),
        ("subscribe", "tag 2"),
        ("cancel", "tag 2"),
        ("subscribe", "tag 3"),
        ("cancel", "tag 3"),
    ]
    assert [(op.value, op.process) for op in ops if op.type == "ok"] == [
        (value, value - 1) for value in range(1, 6)
    ], "each subscription is another process"
    errors = [(op.process, op.error, op.data) for op in ops if op.type == "info"]
    text = "the consumer cancelled its subscription and takes {} consumer tag; it subscribes again"
    assert errors == [
        (process, text.format("a new" if process % 2 else "its old"), {CAUSE: "churn"})
        for process in range(4)
    ]


def test_a_single_active_consumer_never_keeps_its_tag(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broker, _ = consumed(
        monkeypatch, tmp_path, nothing, ends=3, single_active=True, consumer_churn=0.1
    )
    assert [tag for _, tag in broker.called("subscribe")] == ["tag 1", "tag 2", "tag 3"]


def test_what_is_under_way_at_a_cancellation_is_never_acknowledged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """pika keeps it to itself, so it is not recorded; only its delivery tag is missing."""

    def on(session: FakeSession, number: int) -> None:
        if number == 2:
            next(session._tags)
        session.push(2 * number)
        session.push(2 * number + 1)

    broker, _ = consumed(monkeypatch, tmp_path, on, ends=2, consumer_churn=0.1)
    assert broker.called("acknowledge up to", "acknowledge") == [
        ("acknowledge up to", 2),
        ("acknowledge", 4),
        ("acknowledge", 5),
    ]


@pytest.mark.parametrize("prefetch", [1, 2, 100])
def test_a_crash_leaves_a_message_unacknowledged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prefetch: int
) -> None:
    def on(session: FakeSession, _number: int) -> None:
        loop = asyncio.get_running_loop()
        for value in range(100):
            loop.call_later(value * 0.01, push_if_open, session, value)

    def push_if_open(session: FakeSession, value: int) -> None:
        if session.lost is None:
            session.push(value)

    broker, ops = consumed(monkeypatch, tmp_path, on, ends=2, consumer_crash=0.1, prefetch=prefetch)
    first = [(what, detail) for what, session, detail in broker.calls if session == 1]
    assert first[-1] == ("break off", None), "nothing is said to the broker afterwards"
    assert "cancel" not in dict(first)
    tags = [detail for what, detail in first if what.startswith("acknowledge")]
    acknowledged = max(tags, default=0)
    received = [op.value for op in ops if op.type == "ok" and op.process == 0]
    held = len(received) - acknowledged
    assert held > 0
    (crash,) = [op for op in ops if op.type == "info"]
    assert crash.error == (
        f"the consumer crashed with {held} unacknowledged messages; it subscribes again"
    )
    assert (crash.process, crash.data) == (0, {CAUSE: "crash"})
    unacknowledged = [op for op in ops if op.type == "fail" and op.process == 0]
    assert [op.value for op in unacknowledged] == received[acknowledged:]
    assert ops.index(crash) > ops.index(unacknowledged[-1]), "the process retires"
    assert len(broker.sessions) == 2, "it connects again"


def test_a_consumer_without_messages_crashes_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pushed_consumer, "HOLD_S", 0.05)
    broker, ops = consumed(monkeypatch, tmp_path, nothing, ends=2, consumer_crash=0.1)
    assert broker.called("break off") == [("break off", None)]
    assert [op.data for op in ops] == [{CAUSE: "crash-with-nothing"}]


def test_a_slow_consumer_acknowledges_one_by_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def on(session: FakeSession, number: int) -> None:
        for value in range(4 if number == 1 else 0):
            session.push(value)

    broker, ops = consumed(
        monkeypatch, tmp_path, on, ends=2, consumer_delay=0.05, consumer_churn=0.5
    )
    assert [op.value for op in ops if op.type == "ok"] == [0, 1, 2, 3]
    names = [name for name, _ in broker.called("subscribe", "acknowledge", "acknowledge up to")]
    assert names == ["subscribe", *["acknowledge"] * 4, "subscribe"]
    assert broker.called("acknowledge") == [("acknowledge", tag) for tag in (1, 2, 3, 4)]


def test_a_slow_consumer_holds_its_messages_across_subscriptions_and_returns_the_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def on(session: FakeSession, number: int) -> None:
        for value in range(3):
            session.push(10 * number + value)

    broker, ops = consumed(
        monkeypatch, tmp_path, on, ends=2, consumer_delay=1000, consumer_churn=0.1
    )
    assert [(op.value, op.process) for op in ops if op.type == "ok"] == [
        *((value, 0) for value in (10, 11, 12)),
        *((value, 1) for value in (20, 21, 22)),
    ]
    assert broker.called("acknowledge", "acknowledge up to") == []
    assert [op.value for op in ops if op.type == "fail"] == [10, 11, 12, 20, 21, 22]
    assert [name for name, _ in broker.called("close", "abandon")] == ["close"]


@pytest.mark.parametrize(
    ("prefetch", "single_active", "accused"),
    [(3, False, False), (4, False, True), (3, True, False), (4, True, True)],
)
def test_a_slow_consumer_is_silent_only_if_its_prefetch_has_room(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    prefetch: int,
    single_active: bool,
    accused: bool,
) -> None:
    monkeypatch.setattr(silence, "SILENT_S", 0.05)
    monkeypatch.setattr(silence, "RECHECK_S", 0.05)

    def on(session: FakeSession, number: int) -> None:
        for value in range(3 if number == 1 else 0):
            session.push(value)

    # A churn ends the load where nobody is accused.
    _, ops = consumed(
        monkeypatch,
        tmp_path,
        on,
        ends=2,
        single_active=single_active,
        prefetch=prefetch,
        consumer_delay=1000,
        consumer_churn=60 if accused else 1,
    )
    causes = [op.data[CAUSE] for op in ops if op.type == "info" and op.data]
    assert causes == (["silent"] if accused else ["churn"])


def test_a_channel_that_the_consumer_timeout_closed_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def on(session: FakeSession, number: int) -> None:
        session.push(number)
        if number == 1:
            session.lost = TIMED_OUT

    broker, ops = consumed(
        monkeypatch, tmp_path, on, ends=2, consumer_timeout=60, consumer_delay=70
    )
    assert len(broker.sessions) == 2
    assert broker.called("abandon") == [("abandon", None)], "its connection is still there"
    (info,) = [op for op in ops if op.type == "info"]
    assert (info.process, info.error) == (0, f"{TIMED_OUT}; it subscribes again")
    assert info.data == {CAUSE: "consumer-timeout"}
    assert [(op.value, op.process) for op in ops if op.type == "ok"] == [(1, 0), (2, 1)]
    assert [(op.value, op.process) for op in ops if op.type == "fail"] == [(1, 0), (2, 1)]


def test_only_the_consumer_timeout_is_one() -> None:
    assert is_consumer_timeout(TIMED_OUT)
    assert not is_consumer_timeout(None)
    assert not is_consumer_timeout("406 PRECONDITION_FAILED - unknown delivery tag 7")
    assert not is_consumer_timeout("delivery acknowledgement on channel 1 timed out")


def times(index: int, **keys: Any) -> list[list[float]]:
    """Return the first times of a consumer: of churn, of crashes and of messages."""
    plan = Plan(
        consumers=2,
        consumer_churn=(1, 9),
        consumer_crash=(1, 9),
        consumer_delay=(1, 9),
        **keys,
    )
    schedule = consumer_schedule(plan, index)
    assert schedule.delays is not None
    return [list(islice(each, 5)) for each in (schedule.churn, schedule.crash, schedule.delays)]


def test_the_seed_and_the_consumer_decide_the_times() -> None:
    assert times(0, seed=1) == times(0, seed=1)
    different = [*times(0, seed=1), *times(1, seed=1), *times(0, seed=2)]
    assert len({tuple(drawn) for drawn in different}) == 9
    assert all(1 <= time <= 9 for drawn in different for time in drawn)


def test_without_keys_nothing_ever_happens() -> None:
    schedule = consumer_schedule(Plan(consumers=1), 0)
    assert list(islice(schedule.churn, 2)) == [float("inf")] * 2
    assert list(islice(schedule.crash, 2)) == [float("inf")] * 2
    assert schedule.delays is None


def test_a_reader_that_withholds_acknowledges_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "history.arrow", lambda: 0)
    context = Context(Plan(), [ADDRESS], "q", journal, asyncio.Event())
    broker = FakeBroker(context, nothing, 1)
    reader = Reader(context, FakeSession(broker), 0, 2)  # type: ignore[arg-type]  # it has what is used of a session
    reader.withhold()
    for tag in (1, 2):
        reader.deliver(Delivery(tag, b"%d" % tag, redelivered=False))
    reader.acknowledge()
    assert (broker.calls, reader.unacknowledged, reader.is_full) == ([], 2, True)
