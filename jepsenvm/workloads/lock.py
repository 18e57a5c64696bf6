"""lock: a queue with one message, and the client that holds the message holds the lock.

This is the semaphore of Jepsen's 2014 post on RabbitMQ (https://aphyr.com/posts/315). Acquire is a
``basic.get`` without acknowledgement, and release is a ``basic.reject`` with requeue. A lost
connection requeues the message too.

The number of deliveries of the message grows with each acquire, so it can serve as a fencing token:
a resource that refuses smaller tokens than it has accepted is safe even if two clients hold the
lock. The option ``fenced`` checks only the tokens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any, Final

from pydantic import Field

from jepsenvm.checkers.lock import LOCK_EXERCISE, lock, lock_headline
from jepsenvm.checkers.verdict import Checker
from jepsenvm.errors import RunError
from jepsenvm.plan.durations import SecondsRangeOrZero, bounds
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.queue_types import queue_type_spec
from jepsenvm.rabbitmq.amqp import (
    Address,
    Delivery,
    Outcome,
    Session,
    SessionLost,
    failure_text,
)
from jepsenvm.rabbitmq.connections import close, session
from jepsenvm.workloads.connection_log import log_connection
from jepsenvm.workloads.connections import connect_with_retries, process_numbers, wait
from jepsenvm.workloads.context import Context, GetQueueStatus, OpCounts, QueueStatus, gone_queues
from jepsenvm.workloads.declare import NO_DELIVERY_LIMIT, declare, queue_arguments
from jepsenvm.workloads.drain import DRAIN_PROCESS
from jepsenvm.workloads.publishers import publisher_addresses
from jepsenvm.workloads.workload import Figures, Workload

logger = logging.getLogger(__name__)

ACQUIRE_RETRY_S: Final = 0.05
STATUS_RETRY_S: Final = 1.0
DELIVERY_COUNT_HEADERS: Final = ("x-acquired-count", "x-delivery-count")
"""Headers with the number of earlier deliveries. RabbitMQ 4 sends the first. A first delivery has
neither."""


class LockOptions(WorkloadOptions):
    """The plan keys of workload lock."""

    hold: SecondsRangeOrZero = Field(
        default=(0.0, 1.0),
        description="How long a client holds the lock, or a pair from which each time is drawn.",
    )
    fenced: bool = Field(
        default=False,
        description="Checks only that the lock's fencing tokens grow, not that it has one holder. "
        "Needs `queue-type: quorum`.",
    )


class LockWorkload(Workload[LockOptions]):
    """Clients on every node acquire and release one lock; see the lock checker."""

    name = "lock"
    about = "a queue with one message: the client that gets it holds the lock until it returns it"
    invalid_when = "two clients hold the lock at once, or the lock's message is lost"
    options = LockOptions
    main_checker = "lock"
    exercise = LOCK_EXERCISE
    acknowledgements = ("acquire",)
    plots: Mapping[str, str] = {"acquire": "acquired"}

    def checkers(self, plan: Plan) -> Mapping[str, Checker]:
        """Return the lock checker; ``fenced`` makes it check the fencing tokens only."""
        return {self.main_checker: partial(lock, fenced=self.options_of(plan).fenced)}

    def headline(self, figures: Figures) -> str:
        """Return the numbers of acquires, releases and holds that overlap."""
        return lock_headline(figures)

    def problems(self, plan: Plan) -> list[str]:
        """Refuse ``fenced`` for a queue type without delivery counts, and sizes of messages."""
        problems = []
        if self.options_of(plan).fenced and not queue_type_spec(plan.queue_type).delivery_count:
            problems.append("fenced goes only with queue-type quorum, which counts deliveries")
        if plan.message_size is not None:
            problems.append(
                "message-size does not go with workload lock, whose only message is the lock"
            )
        return problems

    async def setup(self, context: Context, old_queues: Sequence[str]) -> None:
        """Declare the queue, and publish the one message."""
        plan, first = context.plan, context.addresses[0]
        arguments = queue_arguments(plan)
        if plan.queue_type == "quorum" and plan.delivery_limit is None:
            arguments["x-delivery-limit"] = NO_DELIVERY_LIMIT
        await declare(context, old_queues, {context.queue: arguments})
        async with (
            session(first, plan.op_timeout) as opened,
            asyncio.timeout(first.connect_timeout),
        ):
            if await opened.publish(context.queue, b"lock") is not Outcome.CONFIRMED:
                raise RunError("the broker did not confirm the lock's message")

    def load(self, context: Context) -> list[Coroutine[Any, Any, None]]:
        """Return the clients that acquire and release the lock, ``publishers`` per node."""
        addresses = publisher_addresses(context)
        hold = bounds(self.options_of(context.plan).hold)
        return [
            _client(
                context,
                address,
                processes,
                partial(Random(f"{context.plan.seed} {index}").uniform, *hold),
            )
            for index, (address, processes) in enumerate(
                zip(addresses, process_numbers(len(addresses)), strict=True)
            )
        ]

    async def drain(self, context: Context, queue_status: GetQueueStatus) -> None:
        """Record how many messages the queue has: one is the lock; with none the lock is lost."""
        journal, deadline = context.journal, context.plan.drain_deadline
        journal.append("invoke", "tokens", process=DRAIN_PROCESS)
        try:
            async with asyncio.timeout(deadline):
                messages, status = await _messages_at_rest(context, queue_status)
        except TimeoutError:
            error = f"clients still held messages after {deadline:g} s"
            journal.append("info", "tokens", process=DRAIN_PROCESS, error=error)
            logger.info(f"drain: {error}")
            return
        data = {"broker": status.text, **gone_queues({context.queue: status})}
        journal.append("ok", "tokens", messages, process=DRAIN_PROCESS, data=data)
        logger.info(
            f"drain: {messages} message(s) in the lock's queue, the broker reports {status.text}"
        )


async def _client(
    context: Context, address: Address, processes: Iterator[int], draw_hold: Callable[[], float]
) -> None:
    """Acquire and release until the load ends, as a new process after each op in doubt."""
    counts = context.op_counts.setdefault(address.node, OpCounts())
    while not context.stop.is_set():
        opened = await connect_with_retries(context, address)
        if opened is None:
            return
        process = next(processes)
        while not context.stop.is_set() and opened.lost is None:
            delivery = await acquire(context, opened, process, counts)
            if delivery is None:
                await wait(context.stop, ACQUIRE_RETRY_S)
                continue
            # A client that sees its connection closed knows at once that it lost the lock, because
            # the broker requeues the message (https://www.rabbitmq.com/docs/confirms#automatic-requeueing).
            # Its release is then in doubt.
            with suppress(SessionLost):
                await opened.unless_lost(wait(context.stop, draw_hold()))
            await release(context, opened, process, delivery, counts)
        if opened.lost is None:
            await close(opened)
        elif not context.stop.is_set():
            log_connection(f"{address.node}: connection lost", opened.lost)


async def acquire(
    context: Context, opened: Session, process: int, counts: OpCounts
) -> Delivery | None:
    """Try to acquire the lock as one op; return its message, or None without it.

    After an op in doubt, the session is abandoned.
    """
    journal, node = context.journal, opened.address.node
    journal.append("invoke", "acquire", process=process, node=node)
    try:
        async with asyncio.timeout(context.plan.op_timeout):
            delivery = await opened.get(context.queue)
    except (SessionLost, TimeoutError) as problem:
        _record_doubt(context, opened, process, "acquire", problem, counts)
        return None
    if delivery is None:
        journal.append("fail", "acquire", process=process, node=node)
        counts.failed += 1
        return None
    journal.append("ok", "acquire", fencing_token(delivery), process=process, node=node)
    counts.ok += 1
    return delivery


async def release(
    context: Context, opened: Session, process: int, delivery: Delivery, counts: OpCounts
) -> None:
    """Release the lock as one op. After an op in doubt, the session is abandoned."""
    journal, node = context.journal, opened.address.node
    journal.append("invoke", "release", process=process, node=node)
    try:
        async with asyncio.timeout(context.plan.op_timeout):
            await opened.reject(delivery.tag)
    except (SessionLost, TimeoutError) as problem:
        _record_doubt(context, opened, process, "release", problem, counts)
        return
    journal.append("ok", "release", process=process, node=node)


def _record_doubt(
    context: Context, opened: Session, process: int, f: str, problem: Exception, counts: OpCounts
) -> None:
    """Complete an op as ``info``, and abandon its session, which requeues a message that it has."""
    error = failure_text(problem, f"no answer within {context.plan.op_timeout:g} s")
    context.journal.append("info", f, process=process, node=opened.address.node, error=error)
    opened.abandon(error)
    counts.unknown += 1


def fencing_token(delivery: Delivery) -> int:
    """Return the number of earlier deliveries of the lock's message."""
    headers = delivery.headers
    return next((int(headers[name]) for name in DELIVERY_COUNT_HEADERS if name in headers), 0)


async def _messages_at_rest(
    context: Context, queue_status: GetQueueStatus
) -> tuple[int, QueueStatus]:
    """Return the number of messages in the queue, when no client holds any; and the status."""
    first, logged = context.addresses[0], ""
    while True:
        status = await queue_status(context.queue)
        if status.messages is None:
            return 0, status
        try:
            if not status.unacknowledged:
                messages = await _count_messages(context)
                # 0 messages over AMQP count only if the nodes list none.
                if messages or not status.messages:
                    return messages, status
        except (SessionLost, TimeoutError) as problem:
            text = f"nothing through {first.node}: {failure_text(problem)}"
            status = QueueStatus(1, text)
        if status.text != logged:
            logged = status.text
            logger.info(f"drain: the broker reports {logged}")
        await asyncio.sleep(STATUS_RETRY_S)


async def _count_messages(context: Context) -> int:
    """Return how many messages ``basic.get`` delivers. Closing the connection requeues them."""
    first = context.addresses[0]
    async with (
        session(first, first.connect_timeout) as opened,
        asyncio.timeout(first.connect_timeout),
    ):
        messages = 0
        while await opened.get(context.queue):
            messages += 1
        return messages


WORKLOAD: Final = LockWorkload()
