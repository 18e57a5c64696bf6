"""A proxy between the clients and a broker that misdeals with one message.

It reads the frames of both directions. A message is one method frame with a header frame and body
frames behind it, and these are never interleaved with others of their channel.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from random import Random
from typing import Final

from jepsenvm.workloads.redelivery import POISON_EVERY
from tests.proxy import frames
from tests.proxy.broker import HOST
from tests.proxy.frames import Frame
from tests.proxy.misdeeds import CHANGES, Kind, Misdeed, integer, is_checked

CONTENT_METHODS: Final = (frames.PUBLISH, frames.DELIVER, frames.GET_OK)

Publish = Callable[[bytes], Awaitable[object]]
"""Publishes a message with this body to the queue, past the proxy."""


class Proxy:
    """Listens on a port of its own, and forwards to the broker.

    ``kind`` is what it does to one message, None for nothing. It chooses a publish or a delivery by
    its number, ``turn``, which is counted over all connections.
    """

    def __init__(
        self,
        broker_port: int,
        kind: Kind | None,
        turn: int,
        publishers: int,
        random: Random,
        *,
        invented: bytes,
    ) -> None:
        """Prepare the proxy. The value of a message, modulo ``publishers``, is its publisher.

        ``invented`` is the body of a message that the proxy invents.
        """
        self.port = 0
        self.misdeed: Misdeed | None = None
        self.publish: Publish | None = None
        self._broker_port = broker_port
        self._kind = kind
        self._turn = turn
        self._publishers = publishers
        self._random = random
        self._invented = invented
        self._publishes = 0
        self._deliveries = 0
        self._pending: list[asyncio.Task[object]] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Accept connections while the context is open."""
        server = await asyncio.start_server(self._connected, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in self._pending:
                with suppress(asyncio.CancelledError):
                    await task

    async def _connected(
        self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        broker, to_broker = await asyncio.open_connection(HOST, self._broker_port)
        connection = _Connection(self, to_client, to_broker)
        directions = (
            _forward(client, to_broker, connection.from_client, frames.PROTOCOL_HEADER_SIZE),
            _forward(broker, to_client, connection.from_broker, 0),
        )
        tasks = [asyncio.ensure_future(direction) for direction in directions]
        # asyncio reports it as an error if a connection's task ends cancelled.
        with suppress(asyncio.CancelledError):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for writer in (to_client, to_broker):
            writer.close()

    # Decisions, by the number of the message.

    def takes_publish(self, body: bytes) -> bool:
        """Count a publish; return whether this is the one to misdeal with."""
        self._publishes += 1
        wanted = self._kind in (*CHANGES, "falsely-confirm", "duplicate", "invent")
        if not wanted or self.misdeed or self._publishes < self._turn:
            return False
        return self._do(body)

    def takes_delivery(self, body: bytes) -> bool:
        """Count a delivery; return whether this is the one to misdeal with."""
        self._deliveries += 1
        wanted = self._kind in ("drop", "reorder")
        if not wanted or self.misdeed or self._deliveries < self._turn:
            return False
        return self._do(body)

    def _do(self, body: bytes) -> bool:
        assert self._kind is not None
        became = changed_body(self._kind, self._random, body) if self._kind in CHANGES else b""
        self.misdeed = Misdeed(self._kind, integer(body), became)
        if self._kind in ("duplicate", "invent"):
            assert self.publish is not None
            content = body if self._kind == "duplicate" else self._invented
            self._pending.append(asyncio.ensure_future(self.publish(content)))
        return True

    def overtook(self, deliveries: int) -> None:
        """Note the number of deliveries that a reordered one overtook."""
        assert self.misdeed is not None
        self.misdeed = replace(self.misdeed, overtaken=deliveries)

    def same_publisher(self, body: bytes) -> bool:
        """Return whether a message is of the publisher whose message is being reordered."""
        value = integer(body)
        return (
            self.misdeed is not None
            and value is not None
            and self.misdeed.value is not None
            and value % self._publishers == self.misdeed.value % self._publishers
        )


def changed_body(kind: Kind, random: Random, body: bytes) -> bytes:
    """Return a body as a misdeed changes it."""
    match kind:
        case "truncate":
            return body[: random.randrange(len(body))]
        case "concatenate":
            return body + body
        case _:
            return corrupted(random, body)


def corrupted(random: Random, body: bytes) -> bytes:
    """Return a body with one byte changed.

    A bare integer becomes another value or none, but none that the consumers of workload redelivery
    reject again and again.
    """
    if is_checked(body):
        place = random.randrange(len(body))
        byte = body[place] ^ random.randrange(1, 256)
        return body[:place] + bytes([byte]) + body[place + 1 :]
    while True:
        changed = bytearray(body)
        changed[random.randrange(len(changed))] = random.choice(b"0123456789x\xff")
        value = integer(bytes(changed))
        if value != integer(body) and (value is None or value % POISON_EVERY):
            return bytes(changed)


class _Connection:
    """Both directions of one client's connection."""

    def __init__(
        self, proxy: Proxy, to_client: asyncio.StreamWriter, to_broker: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._to_client = to_client
        self._to_broker = to_broker
        self._content: dict[bool, list[Frame]] = {True: [], False: []}
        """The frames of a message that is not complete yet, by whether the client sent it."""
        self._forwarded: list[int] = []
        """The client's number of each publish that the broker got, by the broker's number."""
        self._confirms = False
        self._published = 0
        self._held: list[list[Frame]] = []
        """Deliveries that wait to be reordered."""

    def from_client(self, frame: Frame) -> Sequence[Frame]:
        """Return what the broker gets instead of a frame."""
        message = self._collect(frame, of_client=True)
        return [frame] if message is None else self._publish(message)

    def from_broker(self, frame: Frame) -> Sequence[Frame]:
        """Return what the client gets instead of a frame."""
        message = self._collect(frame, of_client=False)
        if message is not None:
            return self._deliver(message)
        if frame.type == frames.METHOD:
            if frame.method == frames.SELECT_OK:
                self._confirms = True
            elif frame.method == frames.ACK and self._confirms:
                tag, multiple = frames.acked(frame)
                return [frames.ack(frame.channel, self._forwarded[tag - 1], multiple=multiple)]
        return [frame]

    def _collect(self, frame: Frame, *, of_client: bool) -> list[Frame] | None:
        """Return None for a frame of no message, otherwise the message, [] until it is complete."""
        content = self._content[of_client]
        begins = frame.type == frames.METHOD and frame.method in CONTENT_METHODS
        if not begins and not (content and frame.type in (frames.HEADER, frames.BODY)):
            return None
        content.append(frame)
        if len(content) < 2:
            return []
        size = struct.unpack_from(">Q", content[1].payload, 4)[0]
        if sum(len(part.payload) for part in content[2:]) < size:
            return []
        self._content[of_client] = []
        return content

    def _publish(self, message: list[Frame]) -> Sequence[Frame]:
        if not message:
            return []
        self._published += 1
        body = _body(message)
        taken = self._proxy.takes_publish(body)
        misdeed = self._proxy.misdeed
        if taken and misdeed and misdeed.kind == "falsely-confirm":
            if self._confirms:
                self._to_client.write(frames.ack(message[0].channel, self._published).raw)
            return []  # in a transaction, the broker commits nothing
        self._forwarded.append(self._published)
        if taken and misdeed and misdeed.kind in CHANGES:
            return frames.with_body(message, misdeed.became)
        return message

    def _deliver(self, message: list[Frame]) -> Sequence[Frame]:
        if not message:
            return []
        if self._held:
            return self._reorder(message)
        if not self._proxy.takes_delivery(_body(message)):
            return message
        assert self._proxy.misdeed is not None
        if self._proxy.misdeed.kind == "reorder":
            self._held = [message]
            return []
        # The broker takes the message for delivered and acknowledged.
        method = message[0]
        self._to_broker.write(frames.ack(method.channel, frames.delivery_tag(method)).raw)
        return [frames.get_empty(method.channel)] if method.method == frames.GET_OK else []

    def _reorder(self, message: list[Frame]) -> Sequence[Frame]:
        """Hold deliveries until two of one publisher can be exchanged.

        Each delivery keeps its place and its method frame, so that delivery tags ascend.
        """
        self._held.append(message)
        if not self._proxy.same_publisher(_body(message)):
            return []
        held, self._held = self._held, []
        self._proxy.overtook(len(held) - 1)
        first, last = held[0], held[-1]
        held[0], held[-1] = [first[0], *last[1:]], [last[0], *first[1:]]
        return [part for each in held for part in each]


def _body(message: Sequence[Frame]) -> bytes:
    return b"".join(part.payload for part in message[2:])


async def _forward(
    source: asyncio.StreamReader,
    target: asyncio.StreamWriter,
    change: Callable[[Frame], Sequence[Frame]],
    preamble: int,
) -> None:
    """Forward one direction of a connection until it ends, frame by frame."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        target.write(await source.readexactly(preamble))
        buffer = bytearray()
        while data := await source.read(1 << 16):
            buffer += data
            changed = [part.raw for each in frames.split(buffer) for part in change(each)]
            target.write(b"".join(changed))
            await target.drain()
