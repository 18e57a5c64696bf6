"""Breaking off: the broker sees the end of the connection, and hears nothing more before it."""

from __future__ import annotations

import asyncio

import pytest
from pika import spec
from pika.adapters.asyncio_connection import AsyncioConnection

from jepsenvm.errors import RunError
from jepsenvm.rabbitmq import broken_connection
from jepsenvm.rabbitmq.amqp import Address, SessionLost, connect
from tests.unit.rabbitmq.broker import HOST, Broker

CLOSE = spec.Connection.Close.INDEX.to_bytes(4, "big")
"""How the frame begins with which a client says that it closes its connection."""


@pytest.mark.parametrize("breaks_off", [True, False])
def test_the_closing_handshake(breaks_off: bool) -> None:
    async def test() -> None:
        async with asyncio.timeout(60), Broker().listening() as broker:
            session = await connect(Address("n1", HOST, broker.port, "guest", "guest"))
            if breaks_off:
                session.break_off("the consumer crashed")
            else:
                await session.close()
            await broker.ended.wait()
            assert (CLOSE in broker.received) is not breaks_off
            assert session.lost is not None

    asyncio.run(test())


def test_what_was_not_sent_yet_is_never_sent() -> None:
    async def test() -> None:
        async with asyncio.timeout(60), Broker().listening() as broker:
            session = await connect(Address("n1", HOST, broker.port, "guest", "guest"))
            publish = asyncio.ensure_future(session.publish("queue", b"body"))
            asyncio.get_running_loop().call_soon(session.break_off, "the consumer crashed")
            with pytest.raises(SessionLost, match="the consumer crashed"):
                await publish
            await broker.ended.wait()
            assert broker.bodies == []

    asyncio.run(test())


def test_breaking_off_twice_and_closing_afterwards_do_nothing() -> None:
    async def test() -> None:
        async with asyncio.timeout(60), Broker().listening() as broker:
            session = await connect(Address("n1", HOST, broker.port, "guest", "guest"))
            session.break_off("first")
            session.break_off("second")
            session.settle(1, returned=False)
            session.acknowledge_up_to(1)
            await session.close()
            await broker.ended.wait()
            session.break_off("third")
            session.abandon("fourth")
            assert session.lost == "first"

    asyncio.run(test())


def test_another_pika_without_the_method_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AsyncioConnection, "_terminate_stream", None)
    with pytest.raises(RunError, match=r"has no AsyncioConnection\._terminate_stream"):
        broken_connection._require_method()
