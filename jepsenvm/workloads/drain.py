"""The drain: everything is read back through every node, until the broker says that nothing is left anywhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from jepsenvm.rabbitmq.amqp import SessionLost
from jepsenvm.rabbitmq.connections import session
from jepsenvm.workloads.consumers import ACKNOWLEDGE_EVERY_S, Reader
from jepsenvm.workloads.workload import AskBroker, Context, Leftover

logger = logging.getLogger(__name__)

PREFETCH: Final = 500
IDLE_S: Final = 1.0
"""A drain asks the broker what is left when so long nothing came."""

DRAINER: Final = 1 << 40
"""Far from the processes of the load, whose numbers grow as they retire."""


async def drain(context: Context, ask_broker: AskBroker) -> None:
    """Read back everything from the run's own queue; see ``drain_queues``."""
    await drain_queues(context, ask_broker, context.queue, [context.queue])


async def drain_queues(
    context: Context, ask_broker: AskBroker, source: str, watched: Sequence[str]
) -> None:
    """Read everything from a queue through every node until the broker says that nothing is left in the watched ones.

    Recorded as one drain op, ok only when they are proven empty; the deliveries are dequeues of their own.
    """
    journal = context.journal
    journal.append("invoke", "drain", process=DRAINER)
    try:
        async with asyncio.timeout(context.plan.drain_deadline):
            received, told = 0, ""
            while True:
                received += await _read_until_idle(context, source)
                left = await _left(context, ask_broker, watched)
                if not left.messages:
                    break
                if left.text != told:
                    told = left.text
                    logger.info(f"drain: {received:,} received, the broker says {told}")
        journal.append(
            "ok", "drain", process=DRAINER, data={"received": received, "broker": left.text}
        )
        logger.info(f"drain: {received:,} received, the broker says {left.text}")
    except TimeoutError:
        error = f"not empty after {context.plan.drain_deadline:g} s"
        journal.append("info", "drain", process=DRAINER, error=error)
        logger.info(f"drain: {error}")


async def _left(context: Context, ask_broker: AskBroker, watched: Sequence[str]) -> Leftover:
    """Return what is left in the first of these queues that is not empty, or that all of them are."""
    told = []
    for queue in watched:
        left = await _left_in(context, ask_broker, queue)
        text = left.text if len(watched) == 1 else f"of {queue} {left.text}"
        if left.messages:
            return Leftover(left.messages, text)
        told.append(text)
    return Leftover(0, "; ".join(told))


async def _left_in(context: Context, ask_broker: AskBroker, queue: str) -> Leftover:
    """Return what is left, by the broker's listing and by the queue's leader: a listing may be seconds old."""
    left = await ask_broker(queue)
    if left.messages:
        return left
    try:
        first = context.addresses[0]
        async with (
            session(first, first.connect_timeout) as asking,
            asyncio.timeout(first.connect_timeout),
        ):
            ready = await asking.ready(queue)
    except (SessionLost, TimeoutError) as problem:
        return Leftover(
            1, f"nothing through {context.addresses[0].node}: {problem or 'no answer in time'}"
        )
    if ready is None and left.messages == 0:
        return Leftover(1, "by its listing that the queue is there, and by AMQP that it is not")
    return Leftover(ready, f"ready {ready}") if ready else left


async def _read_until_idle(context: Context, queue: str) -> int:
    """Consume through every node at once until nothing comes any more; return how many messages came."""
    async with AsyncExitStack() as stack:
        readers = []
        for number, address in enumerate(context.addresses, 1):
            try:
                opened = await stack.enter_async_context(session(address, address.connect_timeout))
                reader = Reader(context, opened, DRAINER + number, PREFETCH)
                async with asyncio.timeout(reader.session.address.connect_timeout):
                    tag = await opened.consume(queue, PREFETCH, reader.deliver)
                readers.append((reader, tag))
            except (SessionLost, TimeoutError) as problem:
                context.log_once(
                    f"drain: not through {address.node}: {problem or 'no answer in time'}"
                )
        await _until_idle([reader for reader, _ in readers], IDLE_S * context.addresses[0].patience)
        for reader, tag in readers:
            try:
                async with asyncio.timeout(reader.session.address.connect_timeout):
                    await reader.session.cancel(tag)
                reader.acknowledge()
            except (SessionLost, TimeoutError) as problem:
                logger.info(
                    f"drain: lost {reader.session.address.node}: {problem or 'no answer in time'}"
                )
    return sum(reader.received for reader, _ in readers)


async def _until_idle(readers: Sequence[Reader], idle: float) -> None:
    loop = asyncio.get_running_loop()
    received, since = -1, loop.time()
    while loop.time() - since < idle:
        await asyncio.sleep(ACKNOWLEDGE_EVERY_S)
        for reader in readers:
            reader.acknowledge()
        now = sum(reader.received for reader in readers)
        if now != received:
            received, since = now, loop.time()
