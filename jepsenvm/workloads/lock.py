"""lock: the semaphore of Jepsen's 2014 post on RabbitMQ: a queue with one message, and whoever has it holds the lock.

Acquire is a get without acknowledgement, release a rejection that gives it back; a lost connection gives it back too.
How often the message was delivered is a number that only grows: a resource that refuses smaller numbers than it has
seen is safe even where two clients hold the lock (``fenced``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, Final

from jepsenvm.checkers.lock import lock
from jepsenvm.checkers.verdict import Checker
from jepsenvm.errors import RunError
from jepsenvm.plan.config import Plan, bounds
from jepsenvm.rabbitmq.amqp import Address, Delivery, Outcome, Session, SessionLost
from jepsenvm.rabbitmq.connections import close, session
from jepsenvm.workloads.connections import connect_patiently, numbered, wait
from jepsenvm.workloads.declare import arguments, declare
from jepsenvm.workloads.drain import DRAINER
from jepsenvm.workloads.publishers import publishing
from jepsenvm.workloads.workload import AskBroker, Context, Leftover, Tally, Workload

logger = logging.getLogger(__name__)

RETRY_S: Final = 0.05
AGAIN_S: Final = 1.0
UNLIMITED: Final = 2**31 - 1
"""So often the lock may be released: RabbitMQ 4.0 would drop its message after twenty times."""

COUNTS: Final = ("x-acquired-count", "x-delivery-count")
"""Headers that tell how often the message was delivered before: the first is RabbitMQ 4's; none is 0."""


async def setup(context: Context, stale: Sequence[str]) -> None:
    """Declare the queue, and put the one message into it."""
    wanted = arguments(context.plan)
    if context.plan.queue_type == "quorum" and context.plan.delivery_limit is None:
        wanted["x-delivery-limit"] = UNLIMITED
    await declare(context, stale, {context.queue: wanted})
    async with (
        session(context.addresses[0], context.plan.op_timeout) as opened,
        asyncio.timeout(context.addresses[0].connect_timeout),
    ):
        if await opened.publish(context.queue, b"lock") is not Outcome.CONFIRMED:
            raise RunError("the lock's message was not taken")


def load(context: Context) -> list[Coroutine[Any, Any, None]]:
    """Return the clients that want the lock."""
    clients = publishing(context)
    slots = numbered(len(clients))
    return [
        _client(context, address, slot, Random(f"{context.plan.seed} {index}"))
        for index, (address, slot) in enumerate(zip(clients, slots, strict=True))
    ]


async def _client(
    context: Context, address: Address, processes: Iterator[int], random: Random
) -> None:
    """Acquire and release again and again, under a new process number whenever an op was in doubt."""
    tally = context.tallies.setdefault(address.node, Tally())
    while not context.stop.is_set():
        opened = await connect_patiently(context, address)
        if opened is None:
            return
        process = next(processes)
        while not context.stop.is_set() and opened.lost is None:
            delivery = await acquire(context, opened, process, tally)
            if delivery is None:
                await wait(context.stop, RETRY_S)
                continue
            await wait(context.stop, random.uniform(*bounds(context.plan.hold)))
            await release(context, opened, process, delivery, tally)
        if opened.lost is None:
            await close(opened)
        elif not context.stop.is_set():
            logger.info(f"{address.node}: connection lost: {opened.lost}")


async def acquire(context: Context, opened: Session, process: int, tally: Tally) -> Delivery | None:
    """Ask for the lock as one op; return its message, or None without it. A session in doubt is given up."""
    journal, node = context.journal, opened.address.node
    journal.append("invoke", "acquire", process=process, node=node)
    try:
        async with asyncio.timeout(context.plan.op_timeout):
            delivery = await opened.get(context.queue)
    except (SessionLost, TimeoutError) as problem:
        _doubt(context, opened, process, "acquire", problem, tally)
        return None
    if delivery is None:
        journal.append("fail", "acquire", process=process, node=node)
        tally.failed += 1
        return None
    journal.append("ok", "acquire", number(delivery), process=process, node=node)
    tally.sent += 1
    return delivery


async def release(
    context: Context, opened: Session, process: int, delivery: Delivery, tally: Tally
) -> None:
    """Give the lock back as one op; a session in doubt is given up."""
    journal, node = context.journal, opened.address.node
    journal.append("invoke", "release", process=process, node=node)
    try:
        async with asyncio.timeout(context.plan.op_timeout):
            await opened.reject(delivery.tag)
    except (SessionLost, TimeoutError) as problem:
        _doubt(context, opened, process, "release", problem, tally)
        return
    journal.append("ok", "release", process=process, node=node)


def _doubt(
    context: Context, opened: Session, process: int, f: str, problem: Exception, tally: Tally
) -> None:
    """Record that nobody knows what became of an op, and give its session up."""
    error = str(problem) or f"no answer within {context.plan.op_timeout:g} s"
    context.journal.append("info", f, process=process, node=opened.address.node, error=error)
    opened.abandon(error)
    tally.unknown += 1


def number(delivery: Delivery) -> int:
    """Return the number of the lock as it was handed out: how often its message was delivered before."""
    return next((int(delivery.headers[name]) for name in COUNTS if name in delivery.headers), 0)


async def drain(context: Context, ask_broker: AskBroker) -> None:
    """Look how many messages the queue has when everybody is done: one is the lock, none is a lock that was lost."""
    journal = context.journal
    journal.append("invoke", "tokens", process=DRAINER)
    try:
        async with asyncio.timeout(context.plan.drain_deadline):
            found, left = await _settled(context, ask_broker)
    except TimeoutError:
        error = f"not settled after {context.plan.drain_deadline:g} s"
        journal.append("info", "tokens", process=DRAINER, error=error)
        logger.info(f"drain: {error}")
        return
    journal.append("ok", "tokens", found, process=DRAINER, data={"broker": left.text})
    logger.info(f"drain: {found} message(s) in the lock's queue, the broker says {left.text}")


async def _settled(context: Context, ask_broker: AskBroker) -> tuple[int, Leftover]:
    """Return how many messages the queue has, once none is with a client any more."""
    told = ""
    while True:
        left = await ask_broker(context.queue)
        if left.messages is None:
            return 0, left
        try:
            if not left.unacknowledged:
                found = await _count(context)
                if found or not left.messages:
                    return found, left
        except (SessionLost, TimeoutError) as problem:
            left = Leftover(
                1, f"nothing through {context.addresses[0].node}: {problem or 'no answer in time'}"
            )
        if left.text != told:
            told = left.text
            logger.info(f"drain: the broker says {told}")
        await asyncio.sleep(AGAIN_S)


async def _count(context: Context) -> int:
    """Return how many messages can be had; they go back when this connection closes."""
    async with (
        session(context.addresses[0], context.addresses[0].connect_timeout) as opened,
        asyncio.timeout(context.addresses[0].connect_timeout),
    ):
        found = 0
        while await opened.get(context.queue):
            found += 1
        return found


def checkers(plan: Plan) -> Mapping[str, Checker]:
    """Return what judges this workload's histories."""
    return {"lock": partial(lock, fenced=plan.fenced)}


WORKLOAD: Final = Workload(setup, load, drain, checkers)
