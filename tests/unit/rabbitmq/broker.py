"""A broker on loopback that speaks just enough AMQP 0-9-1 for clients, and keeps what it gets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pika import frame, spec

HOST = "127.0.0.1"

ANSWERS: dict[type, Any] = {
    frame.ProtocolHeader: lambda: spec.Connection.Start(
        server_properties={"capabilities": {"publisher_confirms": True, "basic.nack": True}},
        mechanisms="PLAIN",
        locales="en_US",
    ),
    spec.Connection.StartOk: lambda: spec.Connection.Tune(
        channel_max=2047, frame_max=131_072, heartbeat=0
    ),
    spec.Connection.Open: spec.Connection.OpenOk,
    spec.Connection.Close: spec.Connection.CloseOk,
    spec.Channel.Open: spec.Channel.OpenOk,
    spec.Channel.Close: spec.Channel.CloseOk,
    spec.Confirm.Select: spec.Confirm.SelectOk,
    spec.Tx.Select: spec.Tx.SelectOk,
    spec.Tx.Commit: spec.Tx.CommitOk,
    spec.Basic.Qos: spec.Basic.QosOk,
}
"""What the broker answers to a frame or a method."""


class Broker:
    """Keeps the bytes of its last connection, and confirms each message unless it is ``silent``."""

    def __init__(self) -> None:
        self.port = 0
        self.received = b""
        self.bodies: list[bytes] = []
        self.settled: list[Any] = []
        """The methods by which the client settled deliveries."""
        self._deliveries = 0
        self.silent = False
        self.ended = asyncio.Event()
        """Set when a connection has ended."""
        self.reading = asyncio.Event()
        """The broker reads only while this is set."""
        self.reading.set()
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Broker]:
        server = await asyncio.start_server(self._connected, HOST, 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.reading.set()
            self.reset()
            server.close()
            await server.wait_closed()

    def reset(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.received, rest, body, size, tag = b"", b"", b"", 0, 0
        try:
            while True:
                await self.reading.wait()
                data = await reader.read(1 << 16)
                if not data:
                    break
                self.received += data
                rest += data
                while True:
                    consumed, part = frame.decode_frame(rest)
                    if not consumed:
                        break
                    rest = rest[consumed:]
                    if isinstance(part, frame.Header):
                        body, size = b"", part.body_size
                    if isinstance(part, frame.Body):
                        body += part.fragment
                    if isinstance(part, frame.Header | frame.Body) and len(body) == size:
                        tag += 1
                        self.bodies.append(body)
                        if not self.silent:
                            answer = spec.Basic.Ack(tag)
                            writer.write(frame.Method(part.channel_number, answer).marshal())
                    self._answer(part, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.ended.set()

    def _answer(self, part: Any, writer: asyncio.StreamWriter) -> None:
        kind = type(part.method) if isinstance(part, frame.Method) else type(part)
        if kind in ANSWERS:
            channel = 0 if kind is frame.ProtocolHeader else part.channel_number
            writer.write(frame.Method(channel, ANSWERS[kind]()).marshal())
        elif isinstance(part, frame.Method):
            self._answer_consumer(part, writer)

    def _answer_consumer(self, part: Any, writer: asyncio.StreamWriter) -> None:
        """Answer a consumer. One delivery is under way to it at each cancellation."""
        match part.method:
            case spec.Basic.Consume(consumer_tag=tag):
                answer = spec.Basic.ConsumeOk(tag)
                writer.write(frame.Method(part.channel_number, answer).marshal())
                self._deliver(part.channel_number, tag, writer)
            case spec.Basic.Cancel(consumer_tag=tag):
                self._deliver(part.channel_number, tag, writer)
                answer = spec.Basic.CancelOk(tag)
                writer.write(frame.Method(part.channel_number, answer).marshal())
            case spec.Basic.Ack() | spec.Basic.Reject():
                self.settled.append(part.method)

    def _deliver(self, channel: int, consumer: str, writer: asyncio.StreamWriter) -> None:
        self._deliveries += 1
        body = b"%d" % self._deliveries
        method = spec.Basic.Deliver(consumer, self._deliveries, False, "", "queue")
        writer.write(frame.Method(channel, method).marshal())
        writer.write(frame.Header(channel, len(body), spec.BasicProperties()).marshal())
        writer.write(frame.Body(channel, body).marshal())
