"""Consumers of the load: pushed (``basic.consume``) or polling (``basic.get``).

Every delivery is recorded before it is acknowledged. Otherwise a crash of jepsenvm between the two
would make a delivered message look lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.rabbitmq.amqp import (
    CANCELLED,
    Address,
    Delivery,
    Session,
    SessionLost,
    failure_text,
)
from jepsenvm.rabbitmq.connections import close
from jepsenvm.workloads.connections import connect_with_retries, wait
from jepsenvm.workloads.context import Context

logger = logging.getLogger(__name__)

ACKNOWLEDGE_INTERVAL_S: Final = 0.1
POLL_INTERVAL_S: Final = 0.05
RECONNECT_DELAY_S: Final = 1.0
SILENT_S: Final = 15.0
"""Seconds without a delivery after which a consumer asks whether its queue has ready messages."""
RECHECK_S: Final = 2.0
"""Seconds that the broker then has to deliver one of them."""
SILENT: Final = "the broker delivered nothing, although the queue had ready messages"


class Reader:
    """Records the deliveries of one session, and acknowledges them in batches."""

    def __init__(self, context: Context, session: Session, process: int, prefetch: int) -> None:
        self._context = context
        self.session = session
        self._process = process
        self._batch = max(1, prefetch // 2)
        """Deliveries after which a batch is acknowledged at once. The broker stops delivering
        when the whole prefetch is unacknowledged."""
        self._delivered_tag = 0
        self._acknowledged_tag = 0
        self.received = 0

    def deliver(self, delivery: Delivery) -> None:
        """Record one delivery."""
        record_delivery(self._context, self.session, self._process, delivery)
        self._delivered_tag = delivery.tag
        self.received += 1
        if self._delivered_tag - self._acknowledged_tag >= self._batch:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Acknowledge all recorded deliveries."""
        tag = self._delivered_tag
        if tag > self._acknowledged_tag:
            # The record must have left this process before the broker forgets the message.
            self._context.journal.flush()
            self.session.acknowledge_up_to(tag)
            self._acknowledged_tag = tag


class SilenceWatch:
    """Abandons the session of a consumer to which the broker delivers nothing from a full queue."""

    def __init__(self, context: Context, session: Session, received: Callable[[], int]) -> None:
        """``received`` returns the number of deliveries that count as progress."""
        self._context = context
        self._session = session
        self._received = received
        self._last = received()
        self._since = asyncio.get_running_loop().time()

    async def check(self) -> None:
        """Abandon the session if it is silent. Raise TimeoutError if the broker does not answer."""
        now, received = asyncio.get_running_loop().time(), self._received()
        patience = self._session.address.patience
        if received != self._last:
            self._last, self._since = received, now
        if now - self._since < SILENT_S * patience:
            return
        self._since = now
        async with asyncio.timeout(self._session.address.connect_timeout):
            ready = await self._session.ready(self._context.queue)
        if not ready:
            return
        await wait(self._context.stop, RECHECK_S * patience)
        if self._received() == received and not self._context.stop.is_set():
            self._session.abandon(SILENT)


def record_delivery(
    context: Context, session: Session, process: int, delivery: Delivery, *, returned: bool = False
) -> None:
    """Record a delivery as an ok dequeue.

    ``returned`` marks a delivery that the consumer will not acknowledge, so that the broker
    requeues it. A body that no publisher sent has a negative value, and its data says more.
    """
    value = context.bodies.value_in(delivery.body)
    data = context.bodies.problem_of(delivery.body) if value < 0 else {}
    if delivery.redelivered:
        data["redelivered"] = True
    if returned:
        data["returned"] = True
    node = session.address.node
    context.journal.append("invoke", "dequeue", process=process, node=node)
    context.journal.append("ok", "dequeue", value, process=process, node=node, data=data or None)


ConsumeMode = Callable[[Context, Reader], Awaitable[None]]


def consumers(
    context: Context, processes: Sequence[Iterator[int]], *, single_active: bool = False
) -> list[Coroutine[Any, Any, None]]:
    """Return one consumer per iterator of process numbers, distributed over the nodes.

    ``single_active`` says that the queue delivers to one consumer at a time. The others are then
    silent for good reason, as long as that one gets messages.
    """
    total = _Total()

    async def pushed(context: Context, reader: Reader) -> None:
        await _pushed(context, reader, total, single_active=single_active)

    modes_of: dict[str, tuple[ConsumeMode, ...]] = {
        "asynchronous": (pushed,),
        "polling": (_polling,),
        "mixed": (pushed, _polling),
    }
    modes = modes_of[context.plan.consume]
    return [
        _consume(
            context,
            context.addresses[index % len(context.addresses)],
            numbers,
            modes[index % len(modes)],
        )
        for index, numbers in enumerate(processes)
    ]


async def reconnecting(
    context: Context,
    address: Address,
    processes: Iterator[int],
    use: Callable[[Session, int], Awaitable[None]],
) -> AsyncIterator[Session]:
    """Call ``use`` with one session after another until the load ends; yield each ended session.

    Each session is another process, because a lost session leaves its ops in doubt.
    """
    while not context.stop.is_set():
        session = await connect_with_retries(context, address, role="consumer")
        if session is None:
            return
        process = next(processes)
        try:
            await use(session, process)
            if session.lost is None:
                await close(session)
        except (SessionLost, TimeoutError) as problem:
            session.abandon(failure_text(problem))
        if session.lost in (CANCELLED, SILENT):
            _record_new_subscription(context, address.node, process, session.lost)
        yield session


def _record_new_subscription(context: Context, node: str, process: int, reason: str) -> None:
    """Record why a consumer subscribes again, as a dequeue in doubt. Its process retires."""
    context.journal.append("invoke", "dequeue", process=process, node=node)
    error = f"{reason}; it subscribes again"
    context.journal.append("info", "dequeue", process=process, node=node, error=error)


async def _consume(
    context: Context, address: Address, processes: Iterator[int], mode: ConsumeMode
) -> None:
    """Consume until the load ends; reconnect after a lost connection."""

    async def use(session: Session, process: int) -> None:
        await mode(context, Reader(context, session, process, context.plan.prefetch))

    async for session in reconnecting(context, address, processes, use):
        if session.lost is not None and not context.stop.is_set():
            logger.info(f"{address.node}: consumer's connection lost: {session.lost}")
            await wait(context.stop, RECONNECT_DELAY_S)


@dataclass
class _Total:
    """The deliveries to all consumers of a run."""

    received: int = 0


async def _pushed(
    context: Context, reader: Reader, total: _Total, *, single_active: bool = False
) -> None:
    session = reader.session

    def deliver(delivery: Delivery) -> None:
        total.received += 1
        reader.deliver(delivery)

    async with asyncio.timeout(session.address.connect_timeout):
        tag = await session.consume(context.queue, context.plan.prefetch, deliver)
    watch = SilenceWatch(
        context, session, lambda: total.received if single_active else reader.received
    )
    while not context.stop.is_set() and session.lost is None:
        await wait(context.stop, ACKNOWLEDGE_INTERVAL_S)
        reader.acknowledge()
        if session.lost is None:
            await watch.check()
    if session.lost is None:
        async with asyncio.timeout(session.address.connect_timeout):
            await session.cancel(tag)
        reader.acknowledge()


async def _polling(context: Context, reader: Reader) -> None:
    while not context.stop.is_set() and reader.session.lost is None:
        async with asyncio.timeout(reader.session.address.connect_timeout):
            delivery = await reader.session.get(context.queue)
        if delivery is None:
            await wait(context.stop, POLL_INTERVAL_S)
            continue
        reader.deliver(delivery)
        reader.acknowledge()  # a polling consumer holds one message at a time
