"""redelivery: consumers reject messages and crash; no confirmed message may disappear.

The load's consumers never accept every ``POISON_EVERY``-th message: they reject it, or crash with
it, and the broker requeues it each time. A quorum queue without a dead-letter exchange drops such a
message after its delivery limit (20 by default since RabbitMQ 4.0); see
https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from random import Random
from typing import Any, Final

from jepsenvm.checkers.exercise import Exercise
from jepsenvm.checkers.redelivery import redelivery
from jepsenvm.checkers.total_queue import NOTHING_ACKNOWLEDGED
from jepsenvm.checkers.verdict import Checker
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import Address, Delivery, Session
from jepsenvm.workloads.connections import ProcessNumbers, process_numbers, wait
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.publishers import concurrent_publishes, publishers
from jepsenvm.workloads.reader import ACKNOWLEDGE_INTERVAL_S, record_delivery
from jepsenvm.workloads.reconnecting import reconnecting
from jepsenvm.workloads.silence import SilenceWatch
from jepsenvm.workloads.workload import Figures, Workload

POISON_EVERY: Final = 100
CRASH_PROBABILITY: Final = 0.1
"""Probability that a consumer crashes on a poison message instead of rejecting it."""
RECONNECT_DELAY_S: Final = 0.2


class RedeliveryWorkload(Workload[WorkloadOptions]):
    """Consumes with rejections and crashes; see the redelivery checker."""

    name = "redelivery"
    about = "consumers reject every hundredth message each time, or crash with it"
    invalid_when = "a confirmed message disappears although no consumer acknowledged it"
    options = WorkloadOptions
    defaults: Mapping[str, object] = {"consumers": 5, "prefetch": 20}
    queue_types = ("quorum",)
    main_checker = "redelivery"
    exercise = Exercise(
        ("enqueue", "dequeue", "drain"),
        {
            "load-acknowledged-count": NOTHING_ACKNOWLEDGED,
            "returned-count": "no consumer returned a message, so no redelivery was tested",
        },
    )

    def checkers(self, plan: Plan) -> Mapping[str, Checker]:
        """Return the redelivery checker with the plan's delivery limit."""
        return {self.main_checker: partial(redelivery, delivery_limit=plan.delivery_limit)}

    def headline(self, figures: Figures) -> str:
        """Return the figures of total-queue, and the returned and dropped messages."""
        return (
            f"{super().headline(figures)}, returned {figures['returned-count']:,}, "
            f"DROPPED {figures['dropped-count']:,}"
        )

    def load(self, context: Context) -> list[Coroutine[Any, Any, None]]:
        """Return the publishers, and consumers that reject and crash."""
        publishing = concurrent_publishes(context)
        processes = process_numbers(publishing + context.plan.consumers)
        consuming = [
            _consume(
                context,
                context.addresses[index % len(context.addresses)],
                numbers,
                Random(f"{context.plan.seed} {index}"),
            )
            for index, numbers in enumerate(processes[publishing:])
        ]
        return [*publishers(context, processes[:publishing]), *consuming]


async def _consume(
    context: Context, address: Address, processes: ProcessNumbers, random: Random
) -> None:
    use = partial(_use, context, random, processes)
    async for _ in reconnecting(context, address, processes, use):
        await wait(context.stop, RECONNECT_DELAY_S)


async def _use(
    context: Context, random: Random, processes: ProcessNumbers, session: Session
) -> None:
    """Handle deliveries in batches until the load ends, the session is lost or a crash is drawn."""
    process = processes.current
    deliveries: list[Delivery] = []
    received = 0

    def deliver(delivery: Delivery) -> None:
        nonlocal received
        received += 1
        deliveries.append(delivery)

    async with asyncio.timeout(session.address.connect_timeout):
        tag = await session.consume(context.queue, context.plan.prefetch, deliver)
    watch = SilenceWatch(context, session, lambda: received)
    while not context.stop.is_set() and session.lost is None:
        await wait(context.stop, ACKNOWLEDGE_INTERVAL_S)
        if session.lost is None:
            await watch.check()
        if handle(context, session, process, deliveries, partial(crashes, random)):
            session.abandon("the consumer crashed")
            return
    if session.lost is None:
        async with asyncio.timeout(session.address.connect_timeout):
            await session.cancel(tag)
        handle(context, session, process, deliveries, lambda: False)


def handle(
    context: Context,
    session: Session,
    process: int,
    deliveries: list[Delivery],
    crash: Callable[[], bool],
) -> bool:
    """Record all deliveries, then acknowledge or reject them; return whether the consumer crashes.

    ``deliveries`` is emptied. ``crash`` is called for each poison message. After a crash the
    remaining deliveries are neither acknowledged nor rejected: the broker requeues them when the
    connection closes. The same holds for all deliveries of a session that is lost.
    """
    crashed = False
    batch, deliveries[:] = list(deliveries), []
    handled = []
    for delivery in batch:
        value = context.bodies.value_in(delivery.body)
        poison = value >= 0 and value % POISON_EVERY == 0
        crashed = crashed or (poison and crash())
        returned = crashed or poison or session.lost is not None
        record_delivery(context, session, process, delivery, returned=returned)
        if not crashed:
            handled.append((delivery.tag, poison))
    # Deliveries are recorded before the broker is answered, as everywhere.
    context.journal.flush()
    for tag, rejected in handled:
        session.settle(tag, returned=rejected)
    return crashed


def crashes(random: Random) -> bool:
    """Draw whether a consumer crashes on a poison message."""
    return random.random() < CRASH_PROBABILITY


WORKLOAD: Final = RedeliveryWorkload()
