"""One AMQP connection to one node in asyncio's terms: every operation is awaited, and can be given up.

pika's callbacks become futures; when the connection or its channel is lost, every future that waits gets SessionLost.
Nothing here has a deadline of its own: callers wrap what they await in ``asyncio.timeout``.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeVar

import pika
import pika.exceptions
from pika.adapters.asyncio_connection import AsyncioConnection

T = TypeVar("T")

HEARTBEAT_S: Final = 10
CONNECT_TIMEOUT_S: Final = 10


class SessionLost(Exception):  # noqa: N818 - it is a piece of news, not a mistake
    """The connection or the channel is gone; the text is the broker's reason, or the network's."""


class Outcome(Enum):
    """What the broker said of a published message."""

    CONFIRMED = "confirmed"
    NACKED = "nacked"
    RETURNED = "returned: 312 NO_ROUTE"


@dataclass(frozen=True)
class Address:
    """Where one node's broker listens, and who logs in there."""

    node: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    vhost: str = "/"
    patience: float = 1.0
    """Multiplies every deadline that its clients keep, for slow hosts."""

    @property
    def connect_timeout(self) -> float:
        """Seconds that connecting, or anything else that takes an answer or two, may take."""
        return CONNECT_TIMEOUT_S * self.patience


@dataclass(frozen=True)
class Delivery:
    """One message from the broker; ``tag`` acknowledges it."""

    tag: int
    body: bytes
    redelivered: bool
    headers: Mapping[str, Any] = field(default_factory=dict)


class Session:
    """An open connection with one channel: in confirm mode, or with transactions in its place."""

    def __init__(
        self, address: Address, connection: AsyncioConnection, *, transactions: bool = False
    ) -> None:
        self.address = address
        self._transactions = transactions
        self.lost: str | None = None
        """Why it is gone; None while it lives."""
        self._connection = connection
        self._gone = asyncio.Event()
        self._channel: Any = None
        self._waiting: set[asyncio.Future[Any]] = set()
        self._unconfirmed: OrderedDict[int, asyncio.Future[Outcome]] = OrderedDict()
        self._published = 0
        self._returned: set[str] = set()
        self._empty: Callable[..., None] | None = None
        """Called when a get finds nothing."""

    async def publish(self, queue: str, body: bytes) -> Outcome:
        """Publish a persistent, mandatory message; return what the broker said of it.

        Raises SessionLost when the connection goes before an answer comes: then nobody knows.
        """
        self._check()
        self._published += 1
        tag = self._published
        properties = pika.BasicProperties(delivery_mode=2, message_id=str(tag))
        try:
            self._channel.basic_publish("", queue, body, properties, mandatory=True)
        except pika.exceptions.AMQPError as problem:
            raise SessionLost(reason_text(problem)) from problem
        if self._transactions:
            # Whatever was returned comes before the answer to the commit.
            await self._asked(lambda done: self._channel.tx_commit(callback=done))
            return Outcome.RETURNED if self._took_back(str(tag)) else Outcome.CONFIRMED
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._unconfirmed[tag] = future
        return await future

    async def declare(self, queue: str, arguments: Mapping[str, Any]) -> None:
        """Declare a durable queue."""
        await self._asked(
            lambda done: self._channel.queue_declare(
                queue, durable=True, arguments=dict(arguments), callback=done
            )
        )

    async def ready(self, queue: str) -> int | None:
        """Return how many messages wait in a queue, asked of its leader now; None if there is no such queue.

        A queue that is not there closes the channel, and with it this session.
        """
        try:
            frame = await self._asked(
                lambda done: self._channel.queue_declare(queue, passive=True, callback=done)
            )
        except SessionLost as lost:
            if str(lost).startswith("404 "):
                return None
            raise
        return int(frame.method.message_count)

    async def delete(self, queue: str) -> None:
        """Delete a queue with all that is in it."""
        await self._asked(lambda done: self._channel.queue_delete(queue, callback=done))

    async def consume(
        self,
        queue: str,
        prefetch: int,
        deliver: Callable[[Delivery], None],
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """Begin to consume with manual acknowledgement; ``deliver`` is called for each message. Return the tag."""
        await self._asked(
            lambda done: self._channel.basic_qos(prefetch_count=prefetch, callback=done)
        )

        def delivered(_: Any, method: Any, properties: Any, body: bytes) -> None:
            deliver(_delivery(method, properties, body))

        def begin(done: Callable[..., None]) -> None:
            tags.append(
                self._channel.basic_consume(
                    queue, delivered, arguments=dict(arguments or {}), callback=done
                )
            )

        tags: list[str] = []
        await self._asked(begin)
        return tags[0]

    async def get(self, queue: str) -> Delivery | None:
        """Return the next message of a queue, which waits to be acknowledged or rejected; None when there is none."""

        def ask(done: Callable[..., None]) -> None:
            self._empty = done
            self._channel.basic_get(
                queue,
                lambda _, method, properties, body: done(_delivery(method, properties, body)),
                auto_ack=False,
            )

        answer = await self._asked(ask)
        return answer if isinstance(answer, Delivery) else None

    async def reject(self, tag: int) -> None:
        """Give a message back to its queue; when this returns, the broker's channel has dealt with that."""
        self._check()
        self._channel.basic_reject(tag, requeue=True)
        # A rejection has no answer of its own; the channel works in order, so any later answer will do.
        await self._asked(lambda done: self._channel.basic_qos(prefetch_count=0, callback=done))

    def settle(self, tag: int, *, returned: bool) -> None:
        """Acknowledge one delivery, or give it back, without waiting; a lost session does neither."""
        if self.lost is not None:
            return
        if returned:
            self._channel.basic_reject(tag, requeue=True)
        else:
            self._channel.basic_ack(tag)

    async def cancel(self, tag: str) -> None:
        """Stop consuming; no delivery comes after this returns."""
        await self._asked(lambda done: self._channel.basic_cancel(tag, callback=done))

    def acknowledge_up_to(self, tag: int) -> None:
        """Acknowledge every delivery up to this tag; a lost session acknowledges nothing, and the broker redelivers."""
        if self.lost is None:
            self._channel.basic_ack(tag, multiple=True)

    async def unless_lost(self, awaited: Coroutine[Any, Any, T]) -> T:
        """Return what is awaited; raises SessionLost when the session goes before it comes."""
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
        """Close in good order: what was sent before, acknowledgements too, has been taken when this returns."""
        if self.lost is None:
            self._connection.close()
            await self._gone.wait()

    def abandon(self, reason: str) -> None:
        """Give the connection up without waiting for anybody."""
        self._lose(reason)
        if self._connection.is_open:
            self._connection.close()

    # What pika calls.

    def _on_confirmation(self, frame: Any) -> None:
        method = frame.method
        confirmed = isinstance(method, pika.spec.Basic.Ack)
        tags = [method.delivery_tag]
        if method.multiple:
            tags = [tag for tag in self._unconfirmed if tag <= method.delivery_tag]
        for tag in tags:
            future = self._unconfirmed.pop(tag, None)
            returned = self._took_back(str(tag))
            if future and not future.done():
                future.set_result(
                    Outcome.RETURNED
                    if returned
                    else Outcome.CONFIRMED
                    if confirmed
                    else Outcome.NACKED
                )

    def _on_return(self, _: Any, __: Any, properties: Any, ___: bytes) -> None:
        # A return comes before the confirmation of the same message, and carries what we sent but no delivery tag.
        self._returned.add(properties.message_id)

    def _took_back(self, message: str) -> bool:
        returned = message in self._returned
        self._returned.discard(message)
        return returned

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

    # How the callbacks of a question become something to await.

    async def _asked(self, ask: Callable[[Callable[..., None]], object]) -> Any:
        """Return what pika's callback is called with first."""
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
        self._channel = await self._asked(
            lambda done: self._connection.channel(on_open_callback=done)
        )
        self._channel.add_on_close_callback(lambda _, reason: self._lose(reason_text(reason)))
        self._channel.add_on_return_callback(self._on_return)
        self._channel.add_callback(self._on_empty, [pika.spec.Basic.GetEmpty], one_shot=False)
        if self._transactions:
            await self._asked(lambda done: self._channel.tx_select(callback=done))
        else:
            await self._asked(
                lambda done: self._channel.confirm_delivery(self._on_confirmation, callback=done)
            )


def _delivery(method: Any, properties: Any, body: bytes) -> Delivery:
    return Delivery(method.delivery_tag, body, method.redelivered, properties.headers or {})


async def connect(address: Address, *, transactions: bool = False) -> Session:
    """Return an open session; raises SessionLost with the reason when there can be none."""
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

    connection = AsyncioConnection(
        pika.ConnectionParameters(
            address.host,
            address.port,
            address.vhost,
            credentials=pika.PlainCredentials(address.user, address.password),
            heartbeat=round(HEARTBEAT_S * max(1.0, address.patience)),
            connection_attempts=1,
            client_properties={"connection_name": f"jepsenvm {address.node}"},
        ),
        on_open_callback=on_open,
        on_open_error_callback=on_gone,
        on_close_callback=on_gone,
        custom_ioloop=loop,
    )
    try:
        await opened
        session = Session(address, connection, transactions=transactions)
        sessions.append(session)
        await session._open_channel()
    except BaseException:
        if connection.is_open:
            connection.close()
        raise
    return session


def reason_text(reason: Any) -> str:
    """Return pika's reason in one short line."""
    code, text = getattr(reason, "reply_code", None), getattr(reason, "reply_text", None)
    if code is not None:
        return f"{code} {text}"
    # pika wraps what the network said in an exception for each of its steps.
    while inner := _cause(reason):
        reason = inner
    return str(reason) or type(reason).__name__


def _cause(reason: Any) -> BaseException | None:
    exceptions = getattr(reason, "exceptions", None) or [
        getattr(reason, "exception", None),
        *reason.args,
    ]
    return next((inner for inner in reversed(exceptions) if isinstance(inner, BaseException)), None)
