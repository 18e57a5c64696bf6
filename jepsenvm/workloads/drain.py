"""The drain: reads back everything through every node, until the broker reports empty queues."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from jepsenvm.rabbitmq.amqp import SessionLost, failure_text
from jepsenvm.rabbitmq.connections import session
from jepsenvm.workloads.context import Context, GetQueueStatus, QueueStatus, gone_queues
from jepsenvm.workloads.reader import ACKNOWLEDGE_INTERVAL_S, Reader

logger = logging.getLogger(__name__)

PREFETCH: Final = 500
IDLE_S: Final = 1.0
"""Seconds without a delivery after which the drain asks the broker what is left."""

DRAIN_PROCESS: Final = 1 << 40
"""The first process number of a drain. The load's numbers never grow that far."""


async def drain(context: Context, queue_status: GetQueueStatus) -> None:
    """Read back everything from the run's queue; see ``drain_queues``."""
    await drain_queues(context, queue_status, context.queue, [context.queue])


async def drain_queues(
    context: Context, queue_status: GetQueueStatus, source: str, must_be_empty: Sequence[str]
) -> None:
    """Read ``source`` through every node until the queues in ``must_be_empty`` are empty.

    Records one op ``drain``, which is ok only if the broker reports these queues empty or gone;
    ``info`` after ``drain-deadline``. Its data lists the queues that are ``gone``, and those
    of them that a client ``deleted``, as a log shows. Each delivery is a dequeue.
    """
    journal, deadline = context.journal, context.plan.drain_deadline
    journal.append("invoke", "drain", process=DRAIN_PROCESS)
    try:
        async with asyncio.timeout(deadline):
            received, logged = 0, ""
            while True:
                received += await _read_until_idle(context, source)
                statuses = await _statuses(context, queue_status, must_be_empty)
                text = _text(statuses, named=len(must_be_empty) > 1)
                if not any(status.messages for status in statuses.values()):
                    break
                if text != logged:
                    logged = text
                    logger.info(f"drain: {received:,} received, the broker reports {logged}")
    except TimeoutError:
        error = f"not empty after {deadline:g} s"
        journal.append("info", "drain", process=DRAIN_PROCESS, error=error)
        logger.info(f"drain: {error}")
        return
    data: dict[str, Any] = {"received": received, "broker": text, **gone_queues(statuses)}
    journal.append("ok", "drain", process=DRAIN_PROCESS, data=data)
    logger.info(f"drain: {received:,} received, the broker reports {text}")


async def _statuses(
    context: Context, queue_status: GetQueueStatus, queues: Sequence[str]
) -> dict[str, QueueStatus]:
    """Return the statuses of all queues, or only that of the first that is not empty."""
    statuses = {}
    for queue in queues:
        statuses[queue] = await _status(context, queue_status, queue)
        if statuses[queue].messages:
            return {queue: statuses[queue]}
    return statuses


def _text(statuses: Mapping[str, QueueStatus], *, named: bool) -> str:
    return "; ".join(
        f"of {queue} {status.text}" if named else status.text for queue, status in statuses.items()
    )


async def _status(context: Context, queue_status: GetQueueStatus, queue: str) -> QueueStatus:
    """Return a queue's status from what the nodes list and from the queue's leader over AMQP.

    The lists alone prove nothing: their counts can be seconds old.
    """
    listed = await queue_status(queue)
    if listed.messages:
        return listed
    first = context.addresses[0]
    try:
        async with (
            session(first, first.connect_timeout) as opened,
            asyncio.timeout(first.connect_timeout),
        ):
            ready = await opened.ready(queue)
    except (SessionLost, TimeoutError) as problem:
        return QueueStatus(1, f"nothing through {first.node}: {failure_text(problem)}")
    if ready is None:
        if listed.messages is None:
            return listed
        return QueueStatus(1, "the queue in its list, but not over AMQP")
    if ready == listed.messages == 0:
        return listed
    return QueueStatus(ready, f"ready {ready}")


async def _read_until_idle(context: Context, queue: str) -> int:
    """Consume through all nodes until no more messages come; return how many came."""
    async with AsyncExitStack() as stack:
        readers, consuming = [], []
        for number, address in enumerate(context.addresses, 1):
            try:
                opened = await stack.enter_async_context(session(address, address.connect_timeout))
                reader = Reader(context, opened, DRAIN_PROCESS + number, PREFETCH)
                # Deliveries may arrive although the broker's answer does not.
                readers.append(reader)
                async with asyncio.timeout(address.connect_timeout):
                    tag = await opened.consume(queue, PREFETCH, reader.deliver)
                consuming.append((reader, tag))
            except (SessionLost, TimeoutError) as problem:
                context.log_once(f"drain: not through {address.node}: {failure_text(problem)}")
        await until_idle(readers, IDLE_S * context.addresses[0].patience)
        for reader, tag in consuming:
            address = reader.session.address
            try:
                async with asyncio.timeout(address.connect_timeout):
                    await reader.session.cancel(tag)
                reader.acknowledge()
            except (SessionLost, TimeoutError) as problem:
                logger.info(f"drain: connection to {address.node} lost: {failure_text(problem)}")
        for reader in readers:
            reader.give_up(reader.session.lost or "the drain goes on without this connection")
    return sum(reader.received for reader in readers)


async def until_idle(readers: Sequence[Reader], idle: float) -> None:
    """Acknowledge deliveries until none has come for ``idle`` seconds."""
    loop = asyncio.get_running_loop()
    received, changed_at = -1, loop.time()
    while loop.time() - changed_at < idle:
        await asyncio.sleep(ACKNOWLEDGE_INTERVAL_S)
        for reader in readers:
            reader.acknowledge()
        total = sum(reader.received for reader in readers)
        if total != received:
            received, changed_at = total, loop.time()
