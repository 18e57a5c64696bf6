"""How consumers and the lock handle deliveries, without a broker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jepsenvm.checkers.redelivery import redelivery
from jepsenvm.checkers.unacknowledged import UNACKNOWLEDGED
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import Op
from jepsenvm.history.readers import open_history
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import Address, Delivery
from jepsenvm.workloads import lock
from jepsenvm.workloads import redelivery as redelivery_workload
from jepsenvm.workloads.bodies import UNREADABLE
from jepsenvm.workloads.connections import process_numbers
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.declare import queue_arguments
from jepsenvm.workloads.reader import Reader, record_delivery


@dataclass
class Broker:
    """Records what a session is asked to send to the broker."""

    address: Address = field(
        default_factory=lambda: Address("n1", "10.0.0.1", 5672, "user", "password")
    )
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    lost: str | None = None

    def settle(self, tag: int, *, returned: bool) -> None:
        self.calls.append(("return" if returned else "acknowledge", tag))

    def acknowledge_up_to(self, tag: int) -> None:
        self.calls.append(("acknowledge up to", tag))


def context(folder: Path, **keys: Any) -> Context:
    ticks = count()
    journal = Journal(folder / "history.arrow", lambda: next(ticks))
    return Context(Plan(**keys), [], "jepsenvm.quorum.x", journal, asyncio.Event())


def ops(run_context: Context, folder: Path) -> list[Op]:
    run_context.journal.close()
    return list(open_history(folder / "history.arrow").ops())


def delivery(tag: int, body: bytes | None = None, **headers: Any) -> Delivery:
    return Delivery(
        tag, str(tag).encode() if body is None else body, redelivered=tag % 2 == 0, headers=headers
    )


def test_no_process_number_is_used_twice() -> None:
    numbers = [number for slot in process_numbers(3) for number in islice(slot, 50)]
    assert len(set(numbers)) == 150


def test_a_delivery_is_recorded_with_its_flags(tmp_path: Path) -> None:
    run_context = context(tmp_path)
    for received in (delivery(1), delivery(2), delivery(3, b"\xff?")):
        record_delivery(run_context, Broker(), 7, received)  # type: ignore[arg-type]  # it has what is used of a session
    deliveries = [op for op in ops(run_context, tmp_path) if op.type == "ok"]
    assert [(op.value, op.process, op.node) for op in deliveries] == [
        (1, 7, "n1"),
        (2, 7, "n1"),
        (UNREADABLE, 7, "n1"),
    ]
    assert [op.data for op in deliveries] == [None, {"redelivered": True}, {"body": "b'\\xff?'"}]


@pytest.mark.parametrize(("prefetch", "acknowledged"), [(1, [1, 2, 3]), (4, [2]), (500, [])])
def test_a_reader_acknowledges_before_its_prefetch_is_used_up(
    prefetch: int, acknowledged: list[int], tmp_path: Path
) -> None:
    broker = Broker()
    reader = Reader(context(tmp_path), broker, 1, prefetch)  # type: ignore[arg-type]  # it has what is used of a session
    for tag in (1, 2, 3):
        reader.deliver(delivery(tag))
    assert broker.calls == [("acknowledge up to", tag) for tag in acknowledged]


def test_what_a_lost_session_holds_is_recorded_as_unacknowledged(tmp_path: Path) -> None:
    run_context, broker = context(tmp_path), Broker()
    reader = Reader(run_context, broker, 1, 100)  # type: ignore[arg-type]  # it has what is used of a session
    reader.deliver(delivery(1))
    reader.acknowledge()
    for tag in (2, 3):
        reader.deliver(delivery(tag))
    broker.lost = "[Errno 104] Connection reset by peer"
    reader.acknowledge()
    reader.give_up(broker.lost)
    reader.give_up("again")
    assert broker.calls == [("acknowledge up to", 1)]
    failed = [op for op in ops(run_context, tmp_path) if op.type == "fail"]
    assert [(op.f, op.value, op.process, op.node) for op in failed] == [
        ("dequeue", 2, 1, "n1"),
        ("dequeue", 3, 1, "n1"),
    ]
    assert {op.error for op in failed} == {"not acknowledged: [Errno 104] Connection reset by peer"}
    assert [op.data for op in failed] == [{UNACKNOWLEDGED: True}] * 2


def test_what_arrives_after_a_reader_gave_up_is_recorded_as_unacknowledged(tmp_path: Path) -> None:
    run_context, broker = context(tmp_path), Broker()
    reader = Reader(run_context, broker, 1, 1)  # type: ignore[arg-type]  # it has what is used of a session
    reader.give_up("no answer in time")
    reader.deliver(delivery(1))
    assert broker.calls == []
    completed = [op for op in ops(run_context, tmp_path) if op.type != "invoke"]
    assert [(op.type, op.value) for op in completed] == [("ok", 1), ("fail", 1)]
    assert completed[1].data == {UNACKNOWLEDGED: True}


def test_deliveries_of_a_lost_session_are_recorded_as_returned(tmp_path: Path) -> None:
    """The broker gets no acknowledgement of them, so it must deliver them again."""
    run_context, broker = context(tmp_path), Broker()
    for type_ in ("invoke", "ok"):
        run_context.journal.append(type_, "enqueue", 1, process=0)
    broker.lost = "[Errno 104] Connection reset by peer"
    redelivery_workload.handle(run_context, broker, 1, [delivery(1)], lambda: False)  # type: ignore[arg-type]  # as above
    run_context.journal.append("invoke", "drain", process=9)
    run_context.journal.append("ok", "drain", process=9)
    run_context.journal.close()
    found = redelivery(open_history(tmp_path / "history.arrow"), delivery_limit=None)
    assert (found.verdict, found.figures["dropped"]) == (Verdict.INVALID, [1])


def test_a_poison_message_is_rejected_and_recorded_as_returned(tmp_path: Path) -> None:
    run_context, broker = context(tmp_path), Broker()
    waiting = [delivery(1), delivery(2, b"100"), delivery(3, b"101")]
    crashed = redelivery_workload.handle(run_context, broker, 1, waiting, lambda: False)  # type: ignore[arg-type]  # as above
    assert not crashed
    assert broker.calls == [("acknowledge", 1), ("return", 2), ("acknowledge", 3)]
    assert [
        (op.value, (op.data or {}).get("returned"))
        for op in ops(run_context, tmp_path)
        if op.type == "ok"
    ] == [
        (1, None),
        (100, True),
        (101, None),
    ]


def test_a_crash_returns_all_later_deliveries(tmp_path: Path) -> None:
    run_context, broker = context(tmp_path), Broker()
    for value in (1, 100, 101):
        run_context.journal.append("invoke", "enqueue", value, process=0)
        run_context.journal.append("ok", "enqueue", value, process=0)
    waiting = [delivery(1), delivery(2, b"100"), delivery(3, b"101")]
    assert redelivery_workload.handle(run_context, broker, 1, waiting, lambda: True)  # type: ignore[arg-type]  # as above
    assert broker.calls == [("acknowledge", 1)]
    run_context.journal.append("invoke", "drain", process=9)
    run_context.journal.append("ok", "drain", process=9)
    run_context.journal.close()
    found = redelivery(open_history(tmp_path / "history.arrow"), delivery_limit=0)
    assert found.verdict is Verdict.INVALID
    assert found.figures["dropped"] == [100, 101]


def test_a_corrupted_message_is_never_returned(tmp_path: Path) -> None:
    run_context, broker = context(tmp_path, message_size=100), Broker()
    body = run_context.bodies.of(100)
    waiting = [delivery(1, body), *(delivery(tag, body[:tag]) for tag in range(2, 99))]
    redelivery_workload.handle(run_context, broker, 1, waiting, lambda: False)  # type: ignore[arg-type]  # as above
    assert broker.calls == [("return", 1), *(("acknowledge", tag) for tag in range(2, 99))]
    values = {op.value for op in ops(run_context, tmp_path) if (op.data or {}).get("corrupted")}
    assert any(value % 100 == 0 for value in values), "no value tests this"


def test_crashes_of_consumers_repeat_from_the_seed() -> None:
    drawn = [redelivery_workload.crashes(Random(seed)) for seed in range(200)]
    assert 0 < sum(drawn) < 60
    assert drawn == [redelivery_workload.crashes(Random(seed)) for seed in range(200)]


@pytest.mark.parametrize(
    ("headers", "token"),
    [({}, 0), ({"x-delivery-count": 3}, 3), ({"x-delivery-count": 1, "x-acquired-count": 4}, 4)],
)
def test_the_fencing_token_is_the_number_of_deliveries(headers: dict[str, int], token: int) -> None:
    assert lock.fencing_token(delivery(1, b"lock", **headers)) == token


def test_queue_arguments_follow_the_plan() -> None:
    assert queue_arguments(Plan()) == {"x-queue-type": "quorum"}
    plan = Plan(quorum_group_size=5, delivery_limit=7)
    assert queue_arguments(plan) == {
        "x-queue-type": "quorum",
        "x-quorum-initial-group-size": 5,
        "x-delivery-limit": 7,
    }
    assert queue_arguments(Plan(workload="stream", queue_type="stream")) == {
        "x-queue-type": "stream"
    }


def test_no_delivery_limit_is_no_limit_in_every_release() -> None:
    # Before 4.0 a limit of -1 drops a message that was returned once.
    assert queue_arguments(Plan(delivery_limit=-1))["x-delivery-limit"] == 2**31 - 1
    assert queue_arguments(Plan(delivery_limit=0))["x-delivery-limit"] == 0


@pytest.mark.parametrize("key", ["consumer_churn", "consumer_crash", "consumer_timeout"])
def test_a_queue_whose_consumers_give_back_drops_nothing(key: str) -> None:
    plan = Plan.model_validate({"consumers": 1, key: 5})
    expected: dict[str, object] = {"x-queue-type": "quorum", "x-delivery-limit": 2**31 - 1}
    if key == "consumer_timeout":
        expected["x-consumer-timeout"] = 5000
    assert queue_arguments(plan) == expected
    classic = queue_arguments(plan.model_copy(update={"queue_type": "classic"}))
    assert "x-delivery-limit" not in classic
    assert queue_arguments(plan.model_copy(update={"delivery_limit": -1})) == expected
    assert queue_arguments(Plan(consumers=1, consumer_delay=5)) == {"x-queue-type": "quorum"}
