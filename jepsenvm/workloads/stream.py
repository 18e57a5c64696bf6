"""stream: what a stream confirmed is read by every reader, at the same offset, in the order of its publisher.

Readers over AMQP 0-9-1 (``x-stream-offset``) read the whole stream through each node after the load; the last record is
one of the drain's own, so that each reader knows where the end is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from itertools import count, cycle
from typing import Any, Final

from jepsenvm.checkers.stream import stream
from jepsenvm.checkers.verdict import Checker
from jepsenvm.plan.config import Plan
from jepsenvm.rabbitmq.amqp import Address, Delivery, Session, SessionLost
from jepsenvm.rabbitmq.connections import session
from jepsenvm.workloads.connections import numbered
from jepsenvm.workloads.consumers import NOT_OURS, record, value_of
from jepsenvm.workloads.declare import setup
from jepsenvm.workloads.drain import DRAINER
from jepsenvm.workloads.publishers import publish_one, publishers, slots_wanted
from jepsenvm.workloads.workload import AskBroker, Context, Workload

logger = logging.getLogger(__name__)

END: Final = 1 << 40
"""The value of the record that ends a stream: one that no publisher comes to."""

PREFETCH: Final = 1000
AGAIN_S: Final = 1.0


def load(context: Context) -> list[Coroutine[Any, Any, None]]:
    """Return the publishers; the stream is read when they are done."""
    return publishers(context, numbered(slots_wanted(context)))


async def drain(context: Context, ask_broker: AskBroker) -> None:  # noqa: ARG001 - a stream is never empty
    """End the stream with a record of our own, and read all of it through every node."""
    await _end(context)
    reading = [
        _read(context, address, DRAINER + index) for index, address in enumerate(context.addresses)
    ]
    read = await asyncio.gather(*reading)
    logger.info(f"drain: {', '.join(f'{records:,}' for records in read)} records read")


async def drain_once(context: Context, ask_broker: AskBroker) -> None:  # noqa: ARG001 - a stream is never empty
    """End the stream with a record of our own, and read it once, as the messages of a queue.

    What one node leaves unread is read on through the next. The drain op is ok only when the end has come.
    """
    journal, offset, received = context.journal, 0, 0
    journal.append("invoke", "drain", process=DRAINER)
    await _end(context)
    try:
        async with asyncio.timeout(context.plan.drain_deadline):
            for process, address in zip(count(DRAINER + 1), cycle(context.addresses), strict=False):
                try:
                    async with session(address, address.connect_timeout) as opened:
                        async for delivery in _to_the_end(context, opened, offset):
                            record(context, opened, process, delivery)
                            offset, received = offset_of(delivery) + 1, received + 1
                    break
                except (SessionLost, TimeoutError) as problem:
                    context.log_once(
                        f"drain: not through {address.node}: {problem or 'no answer in time'}"
                    )
                    await asyncio.sleep(AGAIN_S)
        journal.append("ok", "drain", process=DRAINER, data={"received": received})
        logger.info(f"drain: {received:,} records read, to the stream's end")
    except TimeoutError:
        error = f"the end did not come in {context.plan.drain_deadline:g} s"
        journal.append("info", "drain", process=DRAINER, error=error)
        logger.info(f"drain: {error}")


async def _end(context: Context) -> None:
    """Confirm the record that ends the stream, through each node in turn."""
    readers = len(context.addresses)
    try:
        async with asyncio.timeout(context.plan.drain_deadline):
            for process, address in zip(
                count(DRAINER + readers + 1), cycle(context.addresses), strict=False
            ):
                if await _ended(context, address, process):
                    break
                await asyncio.sleep(AGAIN_S)
    except TimeoutError:
        logger.info("drain: the stream took no last record in time")


async def _ended(context: Context, address: Address, process: int) -> bool:
    try:
        async with session(address, address.connect_timeout) as opened:
            return await publish_one(context, opened, process, END) == "ok"
    except (SessionLost, TimeoutError) as problem:
        context.log_once(
            f"drain: no last record through {address.node}: {problem or 'no answer in time'}"
        )
        return False


async def _read(context: Context, address: Address, process: int) -> int:
    """Read the stream from its beginning to its end through one node, as one reader; return how many records it had."""
    journal, node = context.journal, address.node
    journal.append("invoke", "end", process=process, node=node)
    records, offset = 0, -1
    try:
        async with (
            asyncio.timeout(context.plan.drain_deadline),
            session(address, address.connect_timeout) as opened,
        ):
            async for delivery in _to_the_end(context, opened, 0):
                offset = offset_of(delivery)
                journal.append(
                    "ok", "read", value_of(delivery), process=process, node=node, offset=offset
                )
                records += 1
        journal.append("ok", "end", process=process, node=node, offset=offset)
    except (SessionLost, TimeoutError) as problem:
        error = str(problem) or f"the end did not come in {context.plan.drain_deadline:g} s"
        journal.append("info", "end", process=process, node=node, error=error)
        logger.info(f"drain: {node}: {error}")
    return records


async def _to_the_end(context: Context, opened: Session, start: int) -> AsyncIterator[Delivery]:
    """Yield the records of a stream from an offset on, up to the one that ends it."""
    came: asyncio.Queue[Delivery] = asyncio.Queue()
    await opened.consume(
        context.queue, PREFETCH, came.put_nowait, {"x-stream-offset": start or "first"}
    )
    value = NOT_OURS
    while value != END:
        delivery = await opened.unless_lost(came.get())
        # An offset within a chunk gives the whole chunk.
        if offset_of(delivery) >= start:
            value = value_of(delivery)
            yield delivery
        opened.settle(delivery.tag, returned=False)


def offset_of(delivery: Delivery) -> int:
    """Return the offset at which a stream has this record."""
    return int(delivery.headers["x-stream-offset"])


def checkers(plan: Plan) -> Mapping[str, Checker]:  # noqa: ARG001 - other workloads' checkers depend on the plan
    """Return what judges this workload's histories."""
    return {"stream": stream}


WORKLOAD: Final = Workload(setup, load, drain, checkers)
