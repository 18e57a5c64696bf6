"""Pushed consumers (``basic.consume``), with the churn, crashes and delays of the plan."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from jepsenvm.checkers.new_subscriptions import Cause
from jepsenvm.rabbitmq.amqp import Delivery, Session
from jepsenvm.workloads.connections import ProcessNumbers, wait
from jepsenvm.workloads.consumer_schedule import ConsumerSchedule
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.reader import ACKNOWLEDGE_INTERVAL_S, Reader, Source
from jepsenvm.workloads.reconnecting import record_new_subscription
from jepsenvm.workloads.silence import SilenceWatch
from jepsenvm.workloads.slow_reader import SlowReader
from jepsenvm.workloads.usable_queues import QueuesOfConsumer

HOLD_S: Final = 1.0
"""Seconds that a consumer waits for a delivery before it crashes without one."""


@dataclass
class Consumption:
    """The pushed consumers of a run, together."""

    single_active: bool = False
    """Whether the queue delivers to one of them at a time. The others are then silent for good
    reason, as long as that one gets messages."""
    received: int = 0
    """The deliveries to all of them."""
    readers: set[Reader] = field(default_factory=set)
    """Their readers, of open sessions."""

    @property
    def is_full(self) -> bool:
        """Whether one of them can get nothing before it acknowledges."""
        return any(reader.is_full for reader in self.readers)


@dataclass
class _Subscription:
    """A subscription to one queue."""

    queue: str
    source: Source
    tag: str = ""
    """The consumer tag."""


class PushedConsumer:
    """A consumer to which the broker pushes messages of its queues, on one session."""

    def __init__(
        self,
        context: Context,
        session: Session,
        processes: ProcessNumbers,
        schedule: ConsumerSchedule,
        consumption: Consumption,
        queues: Sequence[int] = (0,),
    ) -> None:
        """``queues`` are the numbers of its queues."""
        self._context = context
        self._session = session
        self._processes = processes
        self._schedule = schedule
        self._consumption = consumption
        self._reader = _reader(context, session, processes.current, schedule.delays)
        self._queues = QueuesOfConsumer(context, session.address, queues)
        self._subscriptions: list[_Subscription] = []

    async def run(self) -> None:
        """Consume until the load ends, the session is lost or the consumer crashes."""
        self._consumption.readers.add(self._reader)
        try:
            await self._consume()
        finally:
            self._reader.give_up(self._session.lost or "the consumer ended")
            self._consumption.readers.discard(self._reader)

    async def _consume(self) -> None:
        session, reader, stop = self._session, self._reader, self._context.stop
        await self._subscribe_more()
        crash_at, churn_at = _in(next(self._schedule.crash)), _in(next(self._schedule.churn))
        watch = self._watch()
        while not stop.is_set() and session.lost is None:
            await wait(stop, ACKNOWLEDGE_INTERVAL_S)
            if self._crashes(crash_at):
                return
            if session.lost is None and churn_at <= _in(0):
                await self._subscribe_again()
                churn_at = _in(next(self._schedule.churn))
            reader.acknowledge()
            if session.lost is None:
                await watch.check()
                await self._subscribe_more()
        if session.lost is None:
            await self._cancel()
            reader.acknowledge()

    def _watch(self) -> SilenceWatch:
        """Return a watch for silence, of all consumers if only one of them is active."""
        consumption, reader = self._consumption, self._reader
        if consumption.single_active:
            return SilenceWatch(
                self._context,
                self._session,
                lambda: consumption.received,
                lambda: consumption.is_full,
            )
        return SilenceWatch(
            self._context,
            self._session,
            lambda: reader.received,
            lambda: reader.is_full,
            lambda: [subscription.queue for subscription in self._subscriptions],
        )

    async def _subscribe_more(self) -> None:
        """Subscribe to the queues that have become usable; each subscription is a process."""
        for number in await self._queues.more():
            first = not self._subscriptions
            process = self._processes.current if first else next(self._processes)
            source = Source(process, number if self._context.plan.queues > 1 else None)
            subscription = _Subscription(self._context.routes.queue_name(number), source)
            self._subscriptions.append(subscription)
            await self._subscribe(subscription, None)

    async def _subscribe(self, subscription: _Subscription, tag: str | None) -> None:
        """Subscribe with this consumer tag, or with a new one for None."""
        deliver = partial(self._deliver, subscription.source)
        async with asyncio.timeout(self._session.address.connect_timeout):
            subscription.tag = await self._session.consume(
                subscription.queue, self._context.plan.prefetch, deliver, tag=tag
            )

    def _deliver(self, source: Source, delivery: Delivery) -> None:
        self._consumption.received += 1
        self._reader.deliver(delivery, source)

    async def _cancel(self) -> None:
        for subscription in self._subscriptions:
            async with asyncio.timeout(self._session.address.connect_timeout):
                await self._session.cancel(subscription.tag)

    async def _subscribe_again(self) -> None:
        """Cancel the subscriptions, and subscribe as other processes on the same channel.

        What is not acknowledged stays so until afterwards: it belongs to the channel.
        """
        await self._cancel()
        keeps_tag = next(self._schedule.keeps_tag)
        which = "its old" if keeps_tag else "a new"
        reason = f"the consumer cancelled its subscription and takes {which} consumer tag"
        for subscription in self._subscriptions:
            self._record(subscription.source.process, reason, "churn")
            subscription.source.process = next(self._processes)
            await self._subscribe(subscription, subscription.tag if keeps_tag else None)

    def _crashes(self, crash_at: float) -> bool:
        """Crash if it is time and a delivery is unacknowledged; return whether it has crashed."""
        now = _in(0)
        if now < crash_at or self._session.lost is not None or self._context.stop.is_set():
            return False
        self._reader.withhold()
        held = self._reader.unacknowledged
        if not held and now < crash_at + HOLD_S:
            return False
        reason = f"the consumer crashed with {held} unacknowledged messages"
        self._session.break_off(reason)
        self._reader.give_up("the consumer crashed")
        cause: Cause = "crash" if held else "crash-with-nothing"
        for subscription in self._subscriptions[:1]:
            self._record(subscription.source.process, reason, cause)
        return True

    def _record(self, process: int, reason: str, cause: Cause) -> None:
        node = self._session.address.node
        record_new_subscription(self._context, node, process, reason, cause)


def _reader(
    context: Context, session: Session, process: int, delays: Iterator[float] | None
) -> Reader:
    prefetch = context.plan.prefetch
    if delays is None:
        return Reader(context, session, process, prefetch)
    return SlowReader(context, session, process, prefetch, delays)


def _in(seconds: float) -> float:
    """Return the event loop's time in some seconds."""
    return asyncio.get_running_loop().time() + seconds
