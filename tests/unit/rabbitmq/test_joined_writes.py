"""Joined writes: the same bytes in the same order, in fewer writes; a lost connection stays lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.base_connection import BaseConnection
from pika.connection import Connection

from jepsenvm.errors import RunError
from jepsenvm.rabbitmq import amqp, joined_writes
from jepsenvm.rabbitmq.amqp import Address, Outcome, Session, SessionLost, connect
from jepsenvm.rabbitmq.joined_writes import MOST_BYTES, OVERRIDDEN, JoiningConnection
from tests.unit.rabbitmq.broker import HOST, Broker

DEADLINE_S = 60


class Transport:
    """A transport of pika that keeps its writes."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)


def unconnected(transport: Transport) -> JoiningConnection:
    """Return a connection that writes to this transport."""
    connection = JoiningConnection(
        pika.ConnectionParameters(HOST),
        custom_ioloop=asyncio.get_running_loop(),
        internal_connection_workflow=False,
    )
    connection._transport = transport
    return connection


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await test()

    asyncio.run(in_time())


def address(broker: Broker) -> Address:
    return Address("n1", HOST, broker.port, "guest", "guest")


@given(
    st.lists(st.lists(st.sampled_from([1, 8, 400, MOST_BYTES // 2, MOST_BYTES + 7]))),
    st.randoms(use_true_random=False),
)
def test_bytes_keep_their_order(turns: list[list[int]], random: Any) -> None:
    transport, sent = Transport(), list[bytes]()

    async def test() -> None:
        connection = unconnected(transport)
        for sizes in turns:
            for size in sizes:
                sent.append(bytes([random.randrange(256)]) * size)
                connection._adapter_emit_data(sent[-1])
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    run(test)
    assert b"".join(transport.writes) == b"".join(sent)


def test_one_write_for_each_iteration_of_the_event_loop() -> None:
    transport = Transport()

    async def test() -> None:
        connection = unconnected(transport)
        for turn in range(3):
            for number in range(100):
                connection._adapter_emit_data(b"%d.%d " % (turn, number))
            await asyncio.sleep(0)
            assert len(transport.writes) == turn + 1
        await asyncio.sleep(0)

    run(test)
    assert len(transport.writes) == 3
    assert transport.writes[1].split() == [b"1.%d" % number for number in range(100)]


@pytest.mark.parametrize(
    ("sizes", "written"),
    [
        ([MOST_BYTES], [MOST_BYTES]),
        ([MOST_BYTES - 1, 1], [MOST_BYTES]),
        ([MOST_BYTES - 1, 2], [MOST_BYTES - 1, 2]),
        ([1, MOST_BYTES + 5, 1], [1, MOST_BYTES + 5, 1]),
        ([MOST_BYTES // 2] * 5, [MOST_BYTES, MOST_BYTES, MOST_BYTES // 2]),
    ],
)
def test_writes_have_a_largest_size(sizes: list[int], written: list[int]) -> None:
    transport = Transport()

    async def test() -> None:
        connection = unconnected(transport)
        for size in sizes:
            connection._adapter_emit_data(bytes(size))
        await asyncio.sleep(0)

    run(test)
    assert [len(write) for write in transport.writes] == written


def test_what_was_not_written_is_forgotten_with_the_connection() -> None:
    transport = Transport()

    async def test() -> None:
        connection = unconnected(transport)
        connection._adapter_emit_data(b"old")
        connection._init_connection_state()  # as when a connection is lost
        connection._transport = transport
        await asyncio.sleep(0)
        connection._adapter_emit_data(b"new")
        await asyncio.sleep(0)

    run(test)
    assert transport.writes == [b"new"]


def counted_writes(session: Session) -> list[int]:
    """Return a list that gets the size of each further write of a session."""
    transport, sizes = session._connection._transport, list[int]()
    write = transport.write

    def counted(data: bytes) -> None:
        sizes.append(len(data))
        write(data)

    transport.write = counted
    return sizes


async def bytes_of(bodies: list[bytes], monkeypatch: pytest.MonkeyPatch, kind: type) -> bytes:
    """Return what a broker gets from a publisher over a connection of this kind."""
    monkeypatch.setattr(amqp, "JoiningConnection", kind)
    async with Broker().listening() as broker:
        session = await connect(address(broker))
        outcomes = await asyncio.gather(*(session.publish("queue", body) for body in bodies))
        assert set(outcomes) == {Outcome.CONFIRMED}
        await session.close()
        assert broker.bodies == bodies
        return broker.received


class Plain(AsyncioConnection):  # type: ignore[misc]  # pika publishes no types
    """A connection of pika as it is, which marshals each message itself."""

    most_in_frame = 0

    def require_in_use(self) -> None: ...


def test_the_broker_gets_the_same_bytes_as_from_pika(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [b"%d" % number for number in range(300)]
    bodies += [b"", bytes(range(256)) * 20, b"x" * 131_072, b"y" * 400_000, b"z"]

    async def test() -> None:
        plain = await bytes_of(bodies, monkeypatch, Plain)
        assert await bytes_of(bodies, monkeypatch, JoiningConnection) == plain

    run(test)


def test_many_messages_are_one_write() -> None:
    async def test() -> None:
        async with Broker().listening() as broker:
            session = await connect(address(broker))
            sizes = counted_writes(session)
            await asyncio.gather(*(session.publish("queue", b"body") for _ in range(100)))
            assert len(sizes) == 1
            await session.close()

    run(test)


def test_transactions_work() -> None:
    async def test() -> None:
        async with Broker().listening() as broker:
            broker.silent = True  # a commit confirms
            session = await connect(address(broker), transactions=True)
            sizes = counted_writes(session)
            assert await session.publish("queue", b"body") is Outcome.CONFIRMED
            assert (broker.bodies, len(sizes)) == ([b"body"], 1)
            await session.close()

    run(test)


def test_a_broker_that_does_not_read_gets_everything_later() -> None:
    """Other work goes on while the network takes nothing."""
    bodies = [bytes([number]) * 100_000 for number in range(200)]

    async def test() -> None:
        async with Broker().listening() as broker:
            session = await connect(address(broker))
            broker.reading.clear()
            publishing = [asyncio.ensure_future(session.publish("queue", body)) for body in bodies]
            while not session._connection._transport.get_write_buffer_size():
                await asyncio.sleep(0)
            for _ in range(100):
                await asyncio.sleep(0)
            buffered = session._connection._transport.get_write_buffer_size()
            assert buffered > 5_000_000, "the network took nearly everything"
            assert not any(publish.done() for publish in publishing)
            broker.reading.set()
            assert set(await asyncio.gather(*publishing)) == {Outcome.CONFIRMED}
            assert broker.bodies == bodies
            await session.close()

    run(test)


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_lost_connection_ends_every_publish(size: int) -> None:
    async def test() -> None:
        async with Broker().listening() as broker:
            broker.silent = True
            session = await connect(address(broker))
            publishing = [
                asyncio.ensure_future(session.publish("queue", bytes(size))) for _ in range(10)
            ]
            while not broker.bodies:
                await asyncio.sleep(0)
            broker.reset()
            results = await asyncio.gather(*publishing, return_exceptions=True)
            assert all(isinstance(result, SessionLost) for result in results), results
            assert session.lost
            with pytest.raises(SessionLost):
                await session.publish("queue", b"late")

    run(test)


def test_an_abandoned_connection_writes_and_closes_without_waiting() -> None:
    async def test() -> None:
        async with Broker().listening() as broker:
            broker.silent = True
            session = await connect(address(broker))
            publishing = asyncio.ensure_future(session.publish("queue", b"in doubt"))
            await asyncio.sleep(0)
            session.abandon("no confirm within 5 s")
            with pytest.raises(SessionLost, match="no confirm within 5 s"):
                await publishing
            while not session._connection.is_closed:
                await asyncio.sleep(0)
            assert broker.bodies == [b"in doubt"]

    run(test)


def test_pika_has_what_is_overridden_and_used() -> None:
    """The names of pika that jepsenvm depends on, beyond pika's documentation.

    If this fails, read how the new release of pika sends bytes, and adapt ``joined_writes``.
    """
    for name in OVERRIDDEN:
        assert name in JoiningConnection.__dict__
        assert callable(getattr(AsyncioConnection, name))
        assert name not in AsyncioConnection.__dict__, "the asyncio adapter now has its own"
    assert "_adapter_emit_data" in BaseConnection.__dict__
    assert "_init_connection_state" in BaseConnection.__dict__
    assert "Subclasses must override this" in (Connection._adapter_emit_data.__doc__ or "")
    assert isinstance(AsyncioConnection.ioloop, property)


def test_an_import_fails_without_the_methods_of_pika(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(BaseConnection, "_adapter_emit_data")
    monkeypatch.delattr(Connection, "_adapter_emit_data")
    with pytest.raises(RunError, match=r"has no AsyncioConnection\._adapter_emit_data; install"):
        joined_writes._require_overridden()


def test_a_pika_that_sends_past_the_override_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def emit(self: Any, frames: list[bytes]) -> None:
        for part in frames:
            self._transport.write(part)

    monkeypatch.setattr(Connection, "_output_marshaled_frames", emit)

    async def test() -> None:
        async with Broker().listening() as broker:
            with pytest.raises(RunError, match="does not send through _adapter_emit_data"):
                await connect(address(broker))

    run(test)


def test_a_pika_without_the_size_of_a_frame_is_refused() -> None:
    async def test() -> None:
        async with Broker().listening() as broker:
            session = await connect(address(broker))
            del session._connection._body_max_length
            with pytest.raises(RunError, match="does not say how large a frame may be; install"):
                session._connection.require_in_use()

    run(test)
