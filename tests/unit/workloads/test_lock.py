"""How a client of the lock ends its hold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from jepsenvm.history.journal import Journal
from jepsenvm.history.readers import open_history
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import Address, Delivery, Session, SessionLost
from jepsenvm.workloads import connections
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.lock import LockOptions
from jepsenvm.workloads.registry import WORKLOADS

ADDRESS = Address("n1", "192.0.2.1", 5672, "user", "secret")


class Holder(Session):
    """A connection that gets the lock, and that the broker closes while the client holds it."""

    def __init__(self, address: Address) -> None:
        super().__init__(address, MagicMock())

    async def get(self, queue: str) -> Delivery | None:
        asyncio.get_running_loop().call_soon(self.abandon, "CONNECTION_FORCED")
        return Delivery(1, b"", redelivered=False)


def test_a_hold_ends_when_the_client_sees_its_connection_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks: Iterator[int] = count()
    journal = Journal(tmp_path / "history.arrow", lambda: next(ticks))
    # The client would hold the lock for an hour.
    plan = Plan(workload="lock", options=LockOptions(hold=3600))
    sessions = iter([Holder(ADDRESS)])

    async def load() -> None:
        context = Context(plan, [ADDRESS], "jepsenvm.quorum.x", journal, asyncio.Event())

        async def connect(_: Address, *, transactions: bool) -> Session:
            for session in sessions:
                return session
            context.stop.set()
            raise SessionLost("the test is over")

        monkeypatch.setattr(connections, "connect", connect)
        async with asyncio.timeout(60):
            await asyncio.gather(*WORKLOADS["lock"].load(context))

    asyncio.run(load())
    journal.close()
    ops = [(op.type, op.f) for op in open_history(tmp_path / "history.arrow").ops()]
    assert ops == [
        ("invoke", "acquire"),
        ("ok", "acquire"),
        ("invoke", "release"),
        ("info", "release"),
    ]
