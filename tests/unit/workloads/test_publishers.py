"""How publishers complete their ops: fail only if the broker certainly has no message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.history.journal import Journal
from jepsenvm.history.op import Op
from jepsenvm.history.readers import open_history
from jepsenvm.plan.message_sizes import LEAST_BYTES
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import Address, Outcome, SessionLost
from jepsenvm.workloads import connections
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.publishers import publishers_and_consumers, publishers_only

BODIES: list[bytes] = []
"""Everything that was published."""

Answer = Callable[[int], Outcome | SessionLost | None]
"""Returns the broker's answer to the publish of a value; None for no answer at all."""


class FakeSession:
    """A connection to a broker with prepared answers."""

    def __init__(self, address: Address, answer: Answer) -> None:
        self.address = address
        self.lost: str | None = None
        self._answer = answer

    async def publish(self, _: str, body: bytes, *, timeout: float, **_route: object) -> Outcome:
        BODIES.append(body)
        answer = self._answer(int(body if len(body) < LEAST_BYTES else body[7:23]))
        if answer is None:
            async with asyncio.timeout(timeout):
                await asyncio.Event().wait()
        if isinstance(answer, SessionLost):
            self.lost = str(answer)
            raise answer
        assert answer is not None
        return answer

    def abandon(self, reason: str) -> None:
        self.lost = self.lost or reason

    async def close(self) -> None:
        self.lost = "closed"


def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, **keys: Any
) -> tuple[Context, list[Op]]:
    """Run the publishers of a plan to their end; return the context and the ops."""
    ticks = count()
    journal = Journal(folder / "history.arrow", lambda: next(ticks))

    async def load() -> Context:
        addresses = [Address(node, "192.0.2.1", 5672, "user", "secret") for node in ("n1", "n2")]
        plan = Plan(op_timeout=0.05, **keys)
        context = Context(plan, addresses, "jepsenvm.quorum.x", journal, asyncio.Event())

        async def connect(address: Address, *, transactions: bool) -> FakeSession:
            return FakeSession(address, answer)

        monkeypatch.setattr(connections, "connect", connect)
        clients = [asyncio.create_task(client) for client in publishers_only(context)]
        await asyncio.wait(clients)
        for client in clients:
            client.result()
        return context

    context = asyncio.run(load())
    journal.close()
    return context, list(open_history(folder / "history.arrow").ops())


def completions(ops: list[Op]) -> dict[object, tuple[str, str | None]]:
    return {op.value: (op.type, op.error) for op in ops if op.type != "invoke"}


def test_each_answer_has_its_completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[int, Outcome | SessionLost | None] = {
        0: Outcome.CONFIRMED,
        2: Outcome.NACKED,
        4: Outcome.RETURNED,
        6: SessionLost("connection reset"),
        8: None,
    }
    context, ops = run(
        tmp_path, monkeypatch, lambda value: answers.get(value, Outcome.CONFIRMED), messages=12
    )
    completed = completions(ops)
    assert completed[0] == ("ok", None)
    assert completed[2] == ("fail", "nacked")
    assert completed[4] == ("fail", "returned: 312 NO_ROUTE")
    assert completed[6] == ("info", "connection reset")
    assert completed[8] == ("info", "no confirm within 0.05 s")
    assert {completed[value] for value in (1, 3, 5, 7, 9, 10, 11)} == {("ok", None)}
    assert context.op_counts["n1"].line("n1") == "n1 sent 2, failed 2, unknown 2, total 6"
    assert context.op_counts["n2"].line("n2") == "n2 sent 6, failed 0, unknown 0, total 6"


def test_a_nack_of_one_of_several_queues_is_in_doubt_and_keeps_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {0: Outcome.NACKED, 2: Outcome.RETURNED}
    _, ops = run(
        tmp_path,
        monkeypatch,
        lambda value: answers.get(value, Outcome.CONFIRMED),
        messages=8,
        queues=4,
        fan_out=2,
        exchange="topic",
    )
    completed = completions(ops)
    assert completed[0] == ("info", "nacked: at least one of its queues does not have it")
    assert completed[2] == ("fail", "returned: 312 NO_ROUTE")
    assert {completed[value] for value in (1, 3, 4, 5, 6, 7)} == {("ok", None)}
    # The process of the op in doubt never acts again.
    doubtful = next(op.process for op in ops if op.type == "info")
    assert [op.value for op in ops if op.process == doubtful] == [0, 0]
    assert len({op.process for op in ops}) == 3


def test_bodies_have_the_sizes_of_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def confirm(_: int) -> Outcome:
        return Outcome.CONFIRMED

    BODIES.clear()
    context, ops = run(
        tmp_path, monkeypatch, confirm, messages=100, message_size=(LEAST_BYTES, 60), seed=1
    )
    assert sorted(op.value for op in ops if op.type == "ok") == list(range(100))
    assert sorted(BODIES) == sorted(map(context.bodies.of, range(100)))
    assert {len(body) for body in BODIES} == set(range(LEAST_BYTES, 61))
    owners = {(int(body[:6]), int(body[7:23]) % 2) for body in BODIES}
    assert owners == {(0, 0), (1, 1)}


def test_a_process_in_doubt_retires_with_all_of_its_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(value: int) -> Outcome | SessionLost:
        return SessionLost("reset") if value == 6 else Outcome.CONFIRMED

    _, ops = run(tmp_path, monkeypatch, answer, messages=40, window=3, publishers=2)
    doubtful = next(op for op in ops if op.type == "info")
    after = ops[ops.index(doubtful) + 1 :]
    assert doubtful.process not in {op.process for op in after}
    open_ops: dict[int, object] = {}
    for op in ops:
        if op.type == "invoke":
            assert op.process not in open_ops
            open_ops[op.process] = op.value
        else:
            assert open_ops.pop(op.process) == op.value
    assert not open_ops
    values = [op.value for op in ops if op.type == "invoke"]
    assert sorted(map(str, values)) == sorted(str(value) for value in range(40))


def test_publishers_and_consumers_have_processes_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[int]] = []

    def record(_: Context, processes: list[Any], **_options: Any) -> list[Any]:
        given.append([next(numbers) for numbers in processes])
        return []

    monkeypatch.setattr("jepsenvm.workloads.publishers.publishers", record)
    monkeypatch.setattr("jepsenvm.workloads.publishers.consumers", record)
    journal = Journal(tmp_path / "history.arrow", lambda: 0)
    addresses = [Address(node, "192.0.2.1", 5672, "user", "secret") for node in ("n1", "n2")]
    plan = Plan(window=2, consumers=3)
    publishers_and_consumers(Context(plan, addresses, "q", journal, asyncio.Event()))
    journal.close()
    assert given == [[0, 1, 2, 3], [4, 5, 6]]
