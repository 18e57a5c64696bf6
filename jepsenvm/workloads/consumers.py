"""Consumers: every delivery is recorded before it is acknowledged; pushed by the broker, or asked for one by one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, Final

from jepsenvm.rabbitmq.amqp import Address, Delivery, Session, SessionLost
from jepsenvm.rabbitmq.connections import close
from jepsenvm.workloads.connections import connect_patiently, wait
from jepsenvm.workloads.workload import Context

logger = logging.getLogger(__name__)

ACKNOWLEDGE_EVERY_S: Final = 0.1
POLL_S: Final = 0.05
NOT_OURS: Final = -1
"""The value of a message whose body is no integer: never attempted, so unexpected."""


class Reader:
    """Records deliveries, and acknowledges them only when the record is out of this process."""

    def __init__(self, context: Context, session: Session, process: int, prefetch: int) -> None:
        self._context = context
        self.session = session
        self._process = process
        self._enough = max(1, prefetch // 2)
        """So many are not kept waiting: with all of its prefetch unacknowledged, a consumer would get nothing more."""
        self._latest = 0
        self._acknowledged = 0
        self.received = 0

    def deliver(self, delivery: Delivery) -> None:
        """Record one delivery."""
        record(self._context, self.session, self._process, delivery)
        self._latest = delivery.tag
        self.received += 1
        if self._latest - self._acknowledged >= self._enough:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Acknowledge what was recorded."""
        latest = self._latest
        if latest > self._acknowledged:
            self._context.journal.flush()
            self.session.acknowledge_up_to(latest)
            self._acknowledged = latest


def record(
    context: Context, session: Session, process: int, delivery: Delivery, *, returned: bool = False
) -> None:
    """Record a delivery as a dequeue; ``returned`` says that it will not be acknowledged, but given back."""
    value, data = value_of(delivery), dict[str, Any]()
    if value == NOT_OURS:
        data["body"] = repr(delivery.body[:200])
    if delivery.redelivered:
        data["redelivered"] = True
    if returned:
        data["returned"] = True
    context.journal.append("invoke", "dequeue", process=process, node=session.address.node)
    context.journal.append(
        "ok", "dequeue", value, process=process, node=session.address.node, data=data or None
    )


def value_of(delivery: Delivery) -> int:
    """Return the value that a message carries."""
    try:
        return int(delivery.body)
    except ValueError:
        return NOT_OURS


Way = Callable[[Context, Reader], Awaitable[None]]


def consumers(context: Context, slots: Sequence[Iterator[int]]) -> list[Coroutine[Any, Any, None]]:
    """Return the plan's consumers, spread over the nodes: pushed to, polling, or every other one of each."""
    ways = {"asynchronous": (_pushed,), "polling": (_polling,), "mixed": (_pushed, _polling)}[
        context.plan.consume
    ]
    return [
        _consume(
            context,
            context.addresses[index % len(context.addresses)],
            slot,
            ways[index % len(ways)],
        )
        for index, slot in enumerate(slots)
    ]


async def reconnecting(
    context: Context,
    address: Address,
    processes: Iterator[int],
    work: Callable[[Session, int], Awaitable[None]],
) -> AsyncIterator[Session]:
    """Work on one connection after the other, each as another process, until the load ends; yield each at its end."""
    while not context.stop.is_set():
        session = await connect_patiently(context, address, whose="consumer")
        if session is None:
            return
        try:
            await work(session, next(processes))
            if session.lost is None:
                await close(session)
        except (SessionLost, TimeoutError) as lost:
            session.abandon(str(lost) or "no answer in time")
        yield session


async def _consume(context: Context, address: Address, processes: Iterator[int], way: Way) -> None:
    """Consume until the load ends, reconnecting as long as it takes."""

    async def work(session: Session, process: int) -> None:
        await way(context, Reader(context, session, process, context.plan.prefetch))

    async for session in reconnecting(context, address, processes, work):
        if session.lost is not None and not context.stop.is_set():
            logger.info(f"{address.node}: consumer's connection lost: {session.lost}")
            await wait(context.stop, 1.0)


async def _pushed(context: Context, reader: Reader) -> None:
    session = reader.session
    async with asyncio.timeout(session.address.connect_timeout):
        tag = await session.consume(context.queue, context.plan.prefetch, reader.deliver)
    while not context.stop.is_set() and session.lost is None:
        await wait(context.stop, ACKNOWLEDGE_EVERY_S)
        reader.acknowledge()
    if session.lost is None:
        async with asyncio.timeout(session.address.connect_timeout):
            await session.cancel(tag)
        reader.acknowledge()


async def _polling(context: Context, reader: Reader) -> None:
    while not context.stop.is_set() and reader.session.lost is None:
        async with asyncio.timeout(reader.session.address.connect_timeout):
            delivery = await reader.session.get(context.queue)
        if delivery is None:
            await wait(context.stop, POLL_S)
            continue
        reader.deliver(delivery)
        reader.acknowledge()  # it asks for one at a time
