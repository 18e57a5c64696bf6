"""redelivery: consumers that reject and crash; what they gave back too often must still not be gone.

Every ``POISON_EVERY``-th message is one that no consumer of the load can work with: it is given back each time, by
rejection or by a crash of the connection. A quorum queue drops what was given back more often than its delivery limit
(20 by default since RabbitMQ 4.0), if there is no dead-letter target.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from random import Random
from typing import Any, Final

from jepsenvm.checkers.redelivery import redelivery
from jepsenvm.checkers.verdict import Checker
from jepsenvm.plan.config import Plan
from jepsenvm.rabbitmq.amqp import Address, Delivery, Session
from jepsenvm.workloads.connections import numbered, wait
from jepsenvm.workloads.consumers import ACKNOWLEDGE_EVERY_S, reconnecting, record, value_of
from jepsenvm.workloads.declare import setup
from jepsenvm.workloads.drain import drain
from jepsenvm.workloads.publishers import publishers, slots_wanted
from jepsenvm.workloads.workload import Context, Workload

POISON_EVERY: Final = 100
CRASH: Final = 0.1
"""How likely a consumer crashes on a poisonous message, rather than rejecting it."""


def load(context: Context) -> list[Coroutine[Any, Any, None]]:
    """Return the publishers, and the consumers that give back what they cannot work with."""
    publishing = slots_wanted(context)
    slots = numbered(publishing + context.plan.consumers)
    consuming = [
        _consume(
            context,
            context.addresses[index % len(context.addresses)],
            slot,
            Random(f"{context.plan.seed} {index}"),
        )
        for index, slot in enumerate(slots[publishing:])
    ]
    return [*publishers(context, slots[:publishing]), *consuming]


async def _consume(
    context: Context, address: Address, processes: Iterator[int], random: Random
) -> None:
    async for _ in reconnecting(context, address, processes, partial(_work, context, random)):
        # A crash of its own is soon over; a broker that is away may take longer.
        await wait(context.stop, 0.2)


async def _work(context: Context, random: Random, session: Session, process: int) -> None:
    """Settle what was delivered, batch by batch, until the load ends, the session is lost, or this consumer crashes."""
    waiting: list[Delivery] = []
    async with asyncio.timeout(session.address.connect_timeout):
        tag = await session.consume(context.queue, context.plan.prefetch, waiting.append)
    while not context.stop.is_set() and session.lost is None:
        await wait(context.stop, ACKNOWLEDGE_EVERY_S)
        if settle(context, session, process, waiting, partial(crashes, random)):
            session.abandon("the consumer crashed")
            return
    if session.lost is None:
        async with asyncio.timeout(session.address.connect_timeout):
            await session.cancel(tag)
        settle(context, session, process, waiting, lambda: False)


def settle(
    context: Context,
    session: Session,
    process: int,
    waiting: list[Delivery],
    crash: Callable[[], bool],
) -> bool:
    """Record and settle what waits; return whether the consumer crashes, which gives back the rest of it."""
    crashed = False
    batch, waiting[:] = list(waiting), []
    settled = []
    for delivery in batch:
        poisonous = value_of(delivery) % POISON_EVERY == 0
        crashed = crashed or (poisonous and crash())
        record(context, session, process, delivery, returned=crashed or poisonous)
        if not crashed:
            settled.append((delivery.tag, poisonous))
    context.journal.flush()
    for tag, returned in settled:
        session.settle(tag, returned=returned)
    return crashed


def crashes(random: Random) -> bool:
    """Draw whether a consumer crashes on a message that it cannot work with."""
    return random.random() < CRASH


def checkers(plan: Plan) -> Mapping[str, Checker]:
    """Return what judges this workload's histories."""
    return {"redelivery": partial(redelivery, delivery_limit=plan.delivery_limit)}


WORKLOAD: Final = Workload(setup, load, drain, checkers)
