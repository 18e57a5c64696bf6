"""Pushed consumers (``basic.consume``), with the churn, crashes and delays of the plan."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from jepsenvm.checkers.new_subscriptions import Cause
from jepsenvm.rabbitmq.amqp import Delivery, Session
from jepsenvm.workloads.connections import ProcessNumbers, wait
from jepsenvm.workloads.consumer_schedule import ConsumerSchedule
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.reader import ACKNOWLEDGE_INTERVAL_S, Reader
from jepsenvm.workloads.reconnecting import record_new_subscription
from jepsenvm.workloads.silence import SilenceWatch
from jepsenvm.workloads.slow_reader import SlowReader

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


class PushedConsumer:
    """A consumer to which the broker pushes messages, on one session."""

    def __init__(
        self,
        context: Context,
        session: Session,
        processes: ProcessNumbers,
        schedule: ConsumerSchedule,
        consumption: Consumption,
    ) -> None:
        self._context = context
        self._session = session
        self._processes = processes
        self._schedule = schedule
        self._consumption = consumption
        self._reader = _reader(context, session, processes.current, schedule.delays)
        self._tag = ""
        """The consumer tag of the current subscription."""

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
        await self._subscribe(None)
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
            self._context, self._session, lambda: reader.received, lambda: reader.is_full
        )

    async def _subscribe(self, tag: str | None) -> None:
        """Subscribe with this consumer tag, or with a new one for None."""
        async with asyncio.timeout(self._session.address.connect_timeout):
            self._tag = await self._session.consume(
                self._context.queue, self._context.plan.prefetch, self._deliver, tag=tag
            )

    def _deliver(self, delivery: Delivery) -> None:
        self._consumption.received += 1
        self._reader.deliver(delivery)

    async def _cancel(self) -> None:
        async with asyncio.timeout(self._session.address.connect_timeout):
            await self._session.cancel(self._tag)

    async def _subscribe_again(self) -> None:
        """Cancel the subscription, and subscribe as another process on the same channel.

        What is not acknowledged stays so until afterwards: it belongs to the channel.
        """
        await self._cancel()
        keeps_tag = next(self._schedule.keeps_tag)
        which = "its old" if keeps_tag else "a new"
        self._record(
            f"the consumer cancelled its subscription and takes {which} consumer tag", "churn"
        )
        self._reader.process = next(self._processes)
        await self._subscribe(self._tag if keeps_tag else None)

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
        self._record(reason, "crash" if held else "crash-with-nothing")
        return True

    def _record(self, reason: str, cause: Cause) -> None:
        node = self._session.address.node
        record_new_subscription(self._context, node, self._reader.process, reason, cause)


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
