"""The AMQP client: one connection with one channel to one node, in asyncio's terms.

pika's callbacks become futures. When the connection or its channel is lost, each waiting future
gets SessionLost. Only ``publish`` has a deadline: callers wrap what else they await in
``asyncio.timeout``.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import takewhile
from operator import ge
from typing import Any, Final, TypeVar

import pika
import pika.exceptions

from jepsenvm.rabbitmq.broken_connection import break_off
from jepsenvm.rabbitmq.deadlines import Deadlines
from jepsenvm.rabbitmq.joined_writes import JoiningConnection
from jepsenvm.rabbitmq.message_template import MessageTemplate, properties
from jepsenvm.rabbitmq.tls import Tls

T = TypeVar("T")

HEARTBEAT_S: Final = 10
CONNECT_TIMEOUT_S: Final = 10


CANCELLED: Final = "the broker cancelled the consumer"
"""Why a session is lost after ``basic.cancel`` by the broker; it closes no connection itself."""


def is_consumer_timeout(reason: str | None) -> bool:
    """Return whether a session was lost because it held a message past the consumer timeout.

    RabbitMQ 3.12 to 4.2 closes the channel. Since 4.3 it cancels the consumer, as for other
    reasons.
    """
    return (
        reason is not None
        and reason.startswith("406 ")
        and "delivery acknowledgement on channel" in reason
    )


class SessionLost(Exception):  # noqa: N818 - named after the event
    """The connection or the channel is lost; the text is the broker's or the network's reason."""


class Outcome(Enum):
    """The broker's answer to a published message."""

    CONFIRMED = "confirmed"
    NACKED = "nacked"
    RETURNED = "returned: 312 NO_ROUTE"


@dataclass(frozen=True)
class Address:
    """The address of one node's broker, and the user who logs in."""

    node: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    vhost: str = "/"
    patience: float = 1.0
    """Multiplies every deadline of its clients, for slow hosts."""
    tls: Tls | None = None
    """How its certificate is verified; None for a broker without TLS."""

    @property
    def connect_timeout(self) -> float:
        """Seconds for connecting, and for other operations that need only a few answers."""
        return CONNECT_TIMEOUT_S * self.patience


@dataclass(frozen=True)
class Delivery:
    """One message from the broker; ``tag`` is its delivery tag."""

    tag: int
    body: bytes
    redelivered: bool
    headers: Mapping[str, Any] = field(default_factory=dict)


class Session:
    """An open connection with one channel, in confirm mode or in transaction mode."""

    def __init__(
        self, address: Address, connection: JoiningConnection, *, transactions: bool = False
    ) -> None:
        self.address = address
        self._transactions = transactions
        self.lost: str | None = None
        """Why the session is lost; None while it is open."""
        self._connection = connection
        self._gone = asyncio.Event()
        self._channel: Any = None
        self._waiting: set[asyncio.Future[Any]] = set()
        self._unconfirmed: OrderedDict[int, asyncio.Future[Outcome]] = OrderedDict()
        self._deadlines = Deadlines()
        self._published = 0
        self._returned: set[str] = set()
        self._templates: dict[tuple[Any, ...], MessageTemplate] = {}
        """What the messages of a route have in common."""
        self._empty: Callable[..., None] | None = None
        """Called when ``basic.get`` finds the queue empty."""

    async def publish(
        self,
        queue: str,
        body: bytes,
        *,
        exchange: str = "",
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Outcome:
        """Publish a persistent, mandatory message; return the broker's answer.

        For an ``exchange`` other than the default one, ``queue`` is the routing key. Raise
        SessionLost if the connection is lost before the answer, and TimeoutError if there is none
        within ``timeout`` seconds. The outcome is then unknown. All calls that give a timeout give
        the same one.
        """
        self._check()
        self._published += 1
        tag = self._published
        self._send(str(tag), exchange, queue, headers, body)
        if self._transactions:
            # The broker sends basic.return before the answer to the commit.
            async with asyncio.timeout(timeout):
                await self._call(lambda done: self._channel.tx_commit(callback=done))
            return Outcome.RETURNED if self._was_returned(tag) else Outcome.CONFIRMED
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._unconfirmed[tag] = future
        if timeout is not None:
            self._deadlines.add(future, timeout)
        return await future

    def _send(
        self,
        message_id: str,
        exchange: str,
        routing_key: str,
        headers: Mapping[str, str] | None,
        body: bytes,
    ) -> None:
        """Send a message. pika splits a body that is larger than a frame."""
        if not 0 < len(body) <= self._connection.most_in_frame:
            content = properties(message_id, headers)
            try:
                self._channel.basic_publish(exchange, routing_key, body, content, mandatory=True)
            except pika.exceptions.AMQPError as problem:
                raise SessionLost(reason_text(problem)) from problem
            return
        route = (exchange, routing_key, None if headers is None else tuple(headers.items()))
        template = self._templates.get(route)
        if template is None:
            template = MessageTemplate(self._channel.channel_number, exchange, routing_key, headers)
            self._templates[route] = template
        self._connection.send_frames(template.marshal(message_id, body))

    async def declare(
        self,
        queue: str,
        arguments: Mapping[str, Any],
        *,
        exclusive: bool = False,
        auto_delete: bool = False,
    ) -> None:
        """Declare a queue. It is durable, except an exclusive one."""
        await self._call(
            lambda done: self._channel.queue_declare(
                queue,
                durable=not exclusive,
                exclusive=exclusive,
                auto_delete=auto_delete,
                arguments=dict(arguments),
                callback=done,
            )
        )

    async def require_queue(self, queue: str) -> None:
        """Declare a queue passively: SessionLost has the broker's refusal if it cannot be used."""
        await self._call(
            lambda done: self._channel.queue_declare(queue, passive=True, callback=done)
        )

    async def declare_exchange(self, exchange: str, type: str) -> None:
        """Declare a durable exchange of a type, such as ``direct``."""
        await self._call(
            lambda done: self._channel.exchange_declare(exchange, type, durable=True, callback=done)
        )

    async def require_exchange(self, exchange: str) -> None:
        """Declare an exchange passively: SessionLost has the broker's refusal if it is missing."""
        await self._call(
            lambda done: self._channel.exchange_declare(exchange, passive=True, callback=done)
        )

    async def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange and its bindings."""
        await self._call(lambda done: self._channel.exchange_delete(exchange, callback=done))

    async def bind(
        self, queue: str, exchange: str, key: str, arguments: Mapping[str, Any] | None = None
    ) -> None:
        """Bind a queue to an exchange with a routing key."""
        await self._call(
            lambda done: self._channel.queue_bind(
                queue, exchange, key, arguments=dict(arguments or {}), callback=done
            )
        )

    async def unbind(self, queue: str, exchange: str, key: str) -> None:
        """Remove a binding of a queue to an exchange."""
        await self._call(
            lambda done: self._channel.queue_unbind(queue, exchange, key, callback=done)
        )

    async def ready(self, queue: str) -> int | None:
        """Return the number of ready messages of a queue, by its leader; None without such a queue.

        A missing queue closes the channel, and with it this session.
        """
        try:
            frame = await self._call(
                lambda done: self._channel.queue_declare(queue, passive=True, callback=done)
            )
        except SessionLost as lost:
            if str(lost).startswith("404 "):
                return None
            raise
        return int(frame.method.message_count)

    async def delete(self, queue: str) -> None:
        """Delete a queue and its messages."""
        await self._call(lambda done: self._channel.queue_delete(queue, callback=done))

    async def consume(
        self,
        queue: str,
        prefetch: int,
        deliver: Callable[[Delivery], None],
        arguments: Mapping[str, Any] | None = None,
        tag: str | None = None,
    ) -> str:
        """Consume with manual acknowledgement; return the consumer tag.

        ``deliver`` is called for each message. ``tag`` is the consumer tag; None for a new one.
        """
        await self._call(
            lambda done: self._channel.basic_qos(prefetch_count=prefetch, callback=done)
        )

        def delivered(_: Any, method: Any, properties: Any, body: bytes) -> None:
            deliver(_delivery(method, properties, body))

        def begin(done: Callable[..., None]) -> None:
            tags.append(
                self._channel.basic_consume(
                    queue,
                    delivered,
                    consumer_tag=tag,
                    arguments=dict(arguments or {}),
                    callback=done,
                )
            )

        tags: list[str] = []
        await self._call(begin)
        return tags[0]

    async def get(self, queue: str) -> Delivery | None:
        """Return the next message of a queue, unacknowledged; None if the queue is empty."""

        def ask(done: Callable[..., None]) -> None:
            self._empty = done
            self._channel.basic_get(
                queue,
                lambda _, method, properties, body: done(_delivery(method, properties, body)),
                auto_ack=False,
            )

        answer = await self._call(ask)
        return answer if isinstance(answer, Delivery) else None

    async def reject(self, tag: int) -> None:
        """Reject a message so that it is requeued; return after the channel has processed that."""
        self._check()
        self._channel.basic_reject(tag, requeue=True)
        # basic.reject has no answer. The channel processes methods in order, so the answer to any
        # later method shows that the rejection was processed.
        await self._call(lambda done: self._channel.basic_qos(prefetch_count=0, callback=done))

    def settle(self, tag: int, *, returned: bool) -> None:
        """Acknowledge or requeue one delivery without waiting. A lost session does neither."""
        if self.lost is not None:
            return
        if returned:
            self._channel.basic_reject(tag, requeue=True)
        else:
            self._channel.basic_ack(tag)

    async def cancel(self, tag: str) -> None:
        """Cancel a consumer; no delivery arrives after this returns.

        What was under way is not delivered any more: pika requeues it.
        """
        await self._call(lambda done: self._channel.basic_cancel(tag, callback=done))

    def acknowledge_up_to(self, tag: int) -> None:
        """Acknowledge all deliveries up to a tag.

        A lost session acknowledges nothing, and the broker redelivers the messages.
        """
        if self.lost is None:
            self._channel.basic_ack(tag, multiple=True)

    async def unless_lost(self, awaited: Coroutine[Any, Any, T]) -> T:
        """Await something; raise SessionLost if the session is lost first."""
        coming, gone = asyncio.ensure_future(awaited), asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({coming, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                raise SessionLost(self.lost or "the connection is gone")
            return coming.result()
        finally:
            coming.cancel()
            gone.cancel()

    async def close(self) -> None:
        """Close cleanly, once the broker has processed everything sent, acknowledgements too."""
        if self.lost is None:
            self._connection.close()
            await self._gone.wait()

    def abandon(self, reason: str) -> None:
        """Drop the connection without waiting; ``reason`` is what waiting operations get."""
        self._lose(reason)
        if self._connection.is_open:
            self._connection.close()

    def break_off(self, reason: str) -> None:
        """Drop the connection without AMQP's closing handshake, as a client does that crashes."""
        self._lose(reason)
        if self._connection.is_open:
            break_off(self._connection)

    # Callbacks for pika.

    def _on_confirmation(self, frame: Any) -> None:
        method = frame.method
        answer = Outcome.CONFIRMED if isinstance(method, pika.spec.Basic.Ack) else Outcome.NACKED
        tags = [method.delivery_tag]
        if method.multiple:
            # Tags ascend, so only those that are confirmed are looked at.
            up_to_last = partial(ge, method.delivery_tag)
            tags = list(takewhile(up_to_last, self._unconfirmed))
        for tag in tags:
            future = self._unconfirmed.pop(tag, None)
            returned = self._was_returned(tag)
            if future and not future.done():
                future.set_result(Outcome.RETURNED if returned else answer)

    def _on_return(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:  # noqa: ARG002 - pika's
        # basic.return comes before the confirm of the same message. It has no delivery tag, so the
        # message id identifies the message.
        self._returned.add(properties.message_id)

    def _was_returned(self, tag: int) -> bool:
        if not self._returned:
            return False
        message = str(tag)
        returned = message in self._returned
        self._returned.discard(message)
        return returned

    def _on_cancel(self, _: Any) -> None:
        # The broker cancels a consumer when its queue is deleted or loses its leader. The consumer
        # would wait for ever, so its user must begin again, with another session.
        self.abandon(CANCELLED)

    def _on_empty(self, _: Any) -> None:
        if self._empty:
            self._empty()

    def _lose(self, reason: str) -> None:
        if self.lost is not None:
            return
        self.lost = reason
        self._gone.set()
        for future in [*self._unconfirmed.values(), *self._waiting]:
            if not future.done():
                future.set_exception(SessionLost(reason))
        self._unconfirmed.clear()
        self._waiting.clear()

    # Turning a method with a callback into an awaitable.

    async def _call(self, ask: Callable[[Callable[..., None]], object]) -> Any:
        """Call a pika method; return the first argument of its callback."""
        self._check()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)

        def done(*answer: Any) -> None:
            self._waiting.discard(future)
            if not future.done():
                future.set_result(answer[0] if answer else None)

        try:
            ask(done)
        except pika.exceptions.AMQPError as problem:
            raise SessionLost(reason_text(problem)) from problem
        return await future

    def _check(self) -> None:
        if self.lost is not None:
            raise SessionLost(self.lost)
        if not self._connection.is_open or (
            self._channel is not None and not self._channel.is_open
        ):
            self._lose("the connection is closing")
            raise SessionLost("the connection is closing")

    async def _open_channel(self) -> None:
        self._channel = await self._call(
            lambda done: self._connection.channel(on_open_callback=done)
        )
        self._channel.add_on_close_callback(lambda _, reason: self._lose(reason_text(reason)))
        self._channel.add_on_return_callback(self._on_return)
        self._channel.add_on_cancel_callback(self._on_cancel)
        self._channel.add_callback(self._on_empty, [pika.spec.Basic.GetEmpty], one_shot=False)
        if self._transactions:
            await self._call(lambda done: self._channel.tx_select(callback=done))
        else:
            await self._call(
                lambda done: self._channel.confirm_delivery(self._on_confirmation, callback=done)
            )


def _delivery(method: Any, properties: Any, body: bytes) -> Delivery:
    return Delivery(method.delivery_tag, body, method.redelivered, properties.headers or {})


async def connect(address: Address, *, transactions: bool = False) -> Session:
    """Open a connection and a channel; raise SessionLost with the reason if that fails."""
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[None] = loop.create_future()
    sessions: list[Session] = []

    def on_open(_: Any) -> None:
        if not opened.done():
            opened.set_result(None)

    def on_gone(_: Any, reason: Any) -> None:
        text = reason_text(reason)
        if not opened.done():
            opened.set_exception(SessionLost(text))
        elif sessions:
            sessions[0]._lose(text)

    connection = JoiningConnection(
        pika.ConnectionParameters(
            address.host,
            address.port,
            address.vhost,
            credentials=pika.PlainCredentials(address.user, address.password),
            heartbeat=round(HEARTBEAT_S * max(1.0, address.patience)),
            connection_attempts=1,
            ssl_options=address.tls.pika_options() if address.tls else None,
            client_properties={"connection_name": f"jepsenvm {address.node}"},
        ),
        on_open_callback=on_open,
        on_open_error_callback=on_gone,
        on_close_callback=on_gone,
        custom_ioloop=loop,
    )
    try:
        await opened
        connection.require_in_use()
        session = Session(address, connection, transactions=transactions)
        sessions.append(session)
        await session._open_channel()
    except BaseException:
        if connection.is_open:
            connection.close()
        raise
    return session


def failure_text(problem: BaseException, timed_out: str = "no answer in time") -> str:
    """Return why an operation failed, in one line; ``timed_out`` if it is a timeout without text.

    For a SessionLost or TimeoutError. A TimeoutError of asyncio has no text of its own.
    """
    return str(problem) or timed_out


def reason_text(reason: Any) -> str:
    """Return pika's reason in one line."""
    code, text = getattr(reason, "reply_code", None), getattr(reason, "reply_text", None)
    if code is not None:
        return f"{code} {text}"
    # pika wraps the network's error in one exception for each of its steps.
    while inner := _cause(reason):
        reason = inner
    return str(reason) or type(reason).__name__


def _cause(reason: Any) -> BaseException | None:
    exceptions = getattr(reason, "exceptions", None) or [
        getattr(reason, "exception", None),
        *reason.args,
    ]
    return next((inner for inner in reversed(exceptions) if isinstance(inner, BaseException)), None)
