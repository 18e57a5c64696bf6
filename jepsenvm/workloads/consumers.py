"""Consumers of the load: pushed (``basic.consume``) or polling (``basic.get``)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

from jepsenvm.rabbitmq.amqp import Address, Session
from jepsenvm.workloads.connection_log import log_connection
from jepsenvm.workloads.connections import ProcessNumbers, wait
from jepsenvm.workloads.consumer_schedule import ConsumerSchedule, consumer_schedule
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.pushed_consumer import Consumption, PushedConsumer
from jepsenvm.workloads.reader import Reader, Source
from jepsenvm.workloads.reconnecting import reconnecting
from jepsenvm.workloads.usable_queues import QueuesOfConsumer, queues_of_consumer

POLL_INTERVAL_S: Final = 0.05
RECONNECT_DELAY_S: Final = 1.0

Use = Callable[[Session], Awaitable[None]]
"""Consumes on a session until the load ends or the session is lost."""


def consumers(
    context: Context,
    processes: Sequence[ProcessNumbers],
    *,
    first_client: int = 0,
    single_active: bool = False,
) -> list[Coroutine[Any, Any, None]]:
    """Return one consumer for each client's process numbers, distributed over the nodes.

    Only those in the share of this process are returned. ``first_client`` is the number of the
    first consumer among the load's clients. ``single_active`` says that the queue delivers to one
    consumer at a time.
    """
    consumption = Consumption(single_active)
    modes = {
        "asynchronous": ("pushed",),
        "polling": ("polling",),
        "mixed": ("pushed", "polling"),
    }[context.plan.consume]
    clients = []
    for index, numbers in enumerate(processes):
        # The consumers of which one is active are in one process: together they notice whether
        # the broker is silent. Others would not be faster with more processes.
        if not context.share.has(first_client if single_active else first_client + index):
            continue
        queues = queues_of_consumer(context.plan.queues, len(processes), index)
        use: Use = partial(_poll, context, numbers, queues)
        if modes[index % len(modes)] == "pushed":
            schedule = consumer_schedule(context.plan, index, single_active=single_active)
            use = partial(_be_pushed, context, numbers, schedule, consumption, queues)
        address = context.addresses[index % len(context.addresses)]
        clients.append(_consume(context, address, numbers, use))
    return clients


async def _consume(context: Context, address: Address, processes: ProcessNumbers, use: Use) -> None:
    """Consume until the load ends; reconnect after a lost connection."""
    async for session in reconnecting(context, address, processes, use):
        if session.lost is not None and not context.stop.is_set():
            log_connection(f"{address.node}: consumer's connection lost", session.lost)
            await wait(context.stop, RECONNECT_DELAY_S)


async def _be_pushed(
    context: Context,
    processes: ProcessNumbers,
    schedule: ConsumerSchedule,
    consumption: Consumption,
    queues: Sequence[int],
    session: Session,
) -> None:
    await PushedConsumer(context, session, processes, schedule, consumption, queues).run()


async def _poll(
    context: Context, processes: ProcessNumbers, numbers: Sequence[int], session: Session
) -> None:
    """Ask one queue after the other; each of them is a process."""
    reader = Reader(context, session, processes.current, context.plan.prefetch)
    queues = QueuesOfConsumer(context, session.address, numbers)
    sources: list[tuple[str, Source]] = []
    try:
        while not context.stop.is_set() and session.lost is None:
            for number in await queues.more():
                process = next(processes) if sources else processes.current
                source = Source(process, number if context.plan.queues > 1 else None)
                sources.append((context.routes.queue_name(number), source))
            received = [await _get(context, reader, name, source) for name, source in sources]
            if not any(received):
                await wait(context.stop, POLL_INTERVAL_S)
    finally:
        # The session may be lost between the delivery and its acknowledgement.
        reader.give_up(session.lost or "the consumer ended")


async def _get(context: Context, reader: Reader, queue: str, source: Source) -> bool:
    """Get and acknowledge a message, unless the load has ended; return whether there was one."""
    if context.stop.is_set() or reader.session.lost is not None:
        return False
    async with asyncio.timeout(reader.session.address.connect_timeout):
        delivery = await reader.session.get(queue)
    if delivery is None:
        return False
    reader.deliver(delivery, source)
    reader.acknowledge()  # a polling consumer holds one message at a time
    return True
