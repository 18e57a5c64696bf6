"""queue: unique integers in, the same integers out.

One publisher a node at least, each with its own connection, publishes persistent messages with ``mandatory`` and
publisher confirms. The rule that everything hangs on: ``fail`` means that it definitely did not happen (nacked, or
returned as unroutable); any doubt (no answer in time, a connection lost after sending) is ``info``, and that process
never acts again: its successor has another number.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, Final

import tenacity

from jepsenvm.checkers.stats import stats
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Checker
from jepsenvm.history.op import Type
from jepsenvm.plan.config import Plan, QueueType
from jepsenvm.workloads.amqp import Address, Delivery, Outcome, Session, SessionLost, connect
from jepsenvm.workloads.workload import AskBroker, Context, Leftover, Tally, Workload

QUEUE_ARGUMENTS: Final[Mapping[QueueType, Mapping[str, str]]] = {
    "quorum": {"x-queue-type": "quorum"},
    # What is mirrored is a classic queue whose name the policy of playbooks/roles/rabbitmq matches.
    "mirrored": {"x-queue-type": "classic"},
    "classic": {"x-queue-type": "classic"},
}

CONNECT_TIMEOUT_S: Final = 10
PREFETCH: Final = 500
ACKNOWLEDGE_EVERY_S: Final = 0.1
IDLE_S: Final = 1.0
"""A drain asks the broker what is left when so long nothing came."""
NOT_OURS: Final = -1
"""The value of a message whose body is no integer: never attempted, so unexpected."""


async def setup(context: Context, stale: Sequence[str]) -> None:
    """Delete the queues of earlier runs and declare this run's, through the first node."""
    async with _session(context.addresses[0], context.plan.op_timeout) as session, asyncio.timeout(60):
        for name in stale:
            await session.delete(name)
        await session.declare(context.queue, QUEUE_ARGUMENTS[context.plan.queue_type])


def load(context: Context) -> list[Coroutine[Any, Any, None]]:
    """Return the publishers, and the consumers if the plan has any."""
    plan = context.plan
    publishers = [address for address in context.addresses for _ in range(plan.publishers)]
    concurrency = len(publishers) * plan.window + plan.consumers
    ids = [count(first, concurrency) for first in range(concurrency)]
    work = []
    for index, address in enumerate(publishers):
        slots = ids[index * plan.window : (index + 1) * plan.window]
        values = iter(range(index, plan.messages, len(publishers)) if plan.messages else count(index, len(publishers)))
        name = address.node if plan.publishers == 1 else f"{address.node}.{index % plan.publishers + 1}"
        context.tallies[name] = Tally()
        interval = len(publishers) / plan.rate if plan.rate else 0.0
        work.append(_publish(context, address, slots, values, context.tallies[name], _Pace(interval, context.stop)))
    for index, processes in enumerate(ids[len(publishers) * plan.window :]):
        work.append(_consume(context, context.addresses[index % len(context.addresses)], processes))
    return work


async def drain(context: Context, ask_broker: AskBroker) -> None:
    """Read back everything through every node until the broker says that nothing is left.

    Recorded as one drain op, ok only when the queue is proven empty; the deliveries are dequeues of their own.
    """
    journal, process = context.journal, _DRAINER
    journal.append("invoke", "drain", process=process)
    try:
        async with asyncio.timeout(context.plan.drain_deadline):
            received, told = 0, ""
            while True:
                received += await _read_until_idle(context)
                left = await _left(context, ask_broker)
                if not left.messages:
                    break
                if left.text != told:
                    told = left.text
                    context.say(f"drain: {received:,} received, the broker says {told}")
        journal.append("ok", "drain", process=process, data={"received": received, "broker": left.text})
        context.say(f"drain: {received:,} received, the broker says {left.text}")
    except TimeoutError:
        error = f"not empty after {context.plan.drain_deadline:g} s"
        journal.append("info", "drain", process=process, error=error)
        context.say(f"drain: {error}")


async def _left(context: Context, ask_broker: AskBroker) -> Leftover:
    """Return what is left, by the broker's listing and by the queue's leader: a listing may be seconds old."""
    left = await ask_broker()
    if left.messages:
        return left
    try:
        async with _session(context.addresses[0], CONNECT_TIMEOUT_S) as session, asyncio.timeout(CONNECT_TIMEOUT_S):
            ready = await session.ready(context.queue)
    except (SessionLost, TimeoutError) as problem:
        return Leftover(1, f"nothing through {context.addresses[0].node}: {problem or 'no answer in time'}")
    if ready is None and left.messages == 0:
        return Leftover(1, "by its listing that the queue is there, and by AMQP that it is not")
    return Leftover(ready, f"ready {ready}") if ready else left


def checkers(plan: Plan) -> Mapping[str, Checker]:  # noqa: ARG001 - other workloads' checkers depend on the plan
    """Return what judges this workload's histories."""
    return {"total-queue": partial(total_queue, drain_required=True), "stats": stats}


WORKLOAD: Final = Workload(setup, load, drain, checkers)

# Far from the processes of the load, whose numbers grow as they retire.
_DRAINER: Final = 1 << 40


# Publishers.


class _Pace:
    """Spaces out one publisher's ops; a publisher that fell behind does not hurry to catch up."""

    def __init__(self, interval: float, stop: asyncio.Event) -> None:
        self._interval = interval
        self._stop = stop
        self._next = 0.0

    async def turn(self) -> None:
        if not self._interval:
            return
        now = asyncio.get_running_loop().time()
        self._next = max(self._next + self._interval, now)
        await _wait(self._stop, self._next - now)


async def _publish(
    context: Context,
    address: Address,
    slots: Sequence[Iterator[int]],
    values: Iterator[int],
    tally: Tally,
    pace: _Pace,
) -> None:
    """Publish on one connection, one op at a time in each slot of its window, reconnecting as long as it takes."""
    processes = [next(slot) for slot in slots]
    todo = _Todo(values)
    while not context.stop.is_set() and not todo.exhausted:
        session = await _connect_patiently(context, address)
        if session is None:
            return
        async with asyncio.TaskGroup() as window:
            for slot, process in enumerate(processes):
                window.create_task(_one_at_a_time(context, session, process, todo, tally, pace), name=str(slot))
        if session.lost is not None:
            context.say(f"{address.node}: connection lost: {session.lost}")
            # Every slot may have had an op in flight: nobody goes on under its old number.
            processes = [next(slot) for slot in slots]
        else:
            await _close(session)


class _Todo:
    """The values that are still to be published; shared by the slots of a window."""

    def __init__(self, values: Iterator[int]) -> None:
        self._values = values
        self.exhausted = False

    def next(self) -> int | None:
        value = next(self._values, None)
        self.exhausted = value is None
        return value


async def _one_at_a_time(
    context: Context, session: Session, process: int, todo: _Todo, tally: Tally, pace: _Pace
) -> None:
    node, journal = session.address.node, context.journal
    while True:
        await pace.turn()
        if context.stop.is_set() or session.lost is not None or (value := todo.next()) is None:
            return
        journal.append("invoke", "enqueue", value, process=process, node=node)
        type_, error = await _attempt(session, context.queue, value, context.plan.op_timeout)
        journal.append(type_, "enqueue", value, process=process, node=node, error=error)
        _count(tally, type_)
        if type_ == "info":
            session.abandon(error or "unknown")
            return


async def _attempt(session: Session, queue: str, value: int, timeout: float) -> tuple[Type, str | None]:
    try:
        async with asyncio.timeout(timeout):
            outcome = await session.publish(queue, str(value).encode())
    except TimeoutError:
        return "info", f"no confirm within {timeout:g} s"
    except SessionLost as lost:
        return "info", str(lost)
    return ("ok", None) if outcome is Outcome.CONFIRMED else ("fail", outcome.value)


def _count(tally: Tally, type_: Type) -> None:
    match type_:
        case "ok":
            tally.sent += 1
        case "fail":
            tally.failed += 1
        case _:
            tally.unknown += 1


# Consumers.


class _Reader:
    """Records deliveries, and acknowledges them only when the record is out of this process."""

    def __init__(self, context: Context, session: Session, process: int) -> None:
        self._context = context
        self._session = session
        self._process = process
        self._latest = 0
        self._acknowledged = 0
        self.received = 0

    def deliver(self, delivery: Delivery) -> None:
        journal, node = self._context.journal, self._session.address.node
        value, data = _value(delivery.body)
        journal.append("invoke", "dequeue", process=self._process, node=node)
        journal.append("ok", "dequeue", value, process=self._process, node=node, data=data)
        self._latest = delivery.tag
        self.received += 1

    def acknowledge(self) -> None:
        latest = self._latest
        if latest > self._acknowledged:
            self._context.journal.flush()
            self._session.acknowledge_up_to(latest)
            self._acknowledged = latest


def _value(body: bytes) -> tuple[int, Mapping[str, str] | None]:
    try:
        return int(body), None
    except ValueError:
        return NOT_OURS, {"body": repr(body[:200])}


async def _consume(context: Context, address: Address, processes: Iterator[int]) -> None:
    """Consume until the load ends, reconnecting as long as it takes."""
    while not context.stop.is_set():
        session = await _connect_patiently(context, address)
        if session is None:
            return
        reader = _Reader(context, session, next(processes))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                tag = await session.consume(context.queue, PREFETCH, reader.deliver)
            while not context.stop.is_set() and session.lost is None:
                await _wait(context.stop, ACKNOWLEDGE_EVERY_S)
                reader.acknowledge()
            if session.lost is None:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await session.cancel(tag)
                reader.acknowledge()
                await _close(session)
        except (SessionLost, TimeoutError) as lost:
            session.abandon(str(lost) or "no answer in time")
        if session.lost is not None and not context.stop.is_set():
            context.say(f"{address.node}: consumer's connection lost: {session.lost}")
            await _wait(context.stop, 1.0)


async def _read_until_idle(context: Context) -> int:
    """Consume through every node at once until nothing comes any more; return how many messages came."""
    async with AsyncExitStack() as stack:
        readers = []
        for number, address in enumerate(context.addresses, 1):
            try:
                session = await stack.enter_async_context(_session(address, CONNECT_TIMEOUT_S))
                reader = _Reader(context, session, _DRAINER + number)
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    tag = await session.consume(context.queue, PREFETCH, reader.deliver)
                readers.append((session, reader, tag))
            except (SessionLost, TimeoutError) as problem:
                context.say_once(f"drain: not through {address.node}: {problem or 'no answer in time'}")
        await _until_idle([reader for _, reader, _ in readers])
        for session, reader, tag in readers:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await session.cancel(tag)
                reader.acknowledge()
            except (SessionLost, TimeoutError) as problem:
                context.say(f"drain: lost {session.address.node}: {problem or 'no answer in time'}")
    return sum(reader.received for _, reader, _ in readers)


async def _until_idle(readers: Sequence[_Reader]) -> None:
    loop = asyncio.get_running_loop()
    received, since = -1, loop.time()
    while loop.time() - since < IDLE_S:
        await asyncio.sleep(ACKNOWLEDGE_EVERY_S)
        for reader in readers:
            reader.acknowledge()
        now = sum(reader.received for reader in readers)
        if now != received:
            received, since = now, loop.time()


# Connections.


@asynccontextmanager
async def _session(address: Address, timeout: float) -> AsyncIterator[Session]:
    async with asyncio.timeout(timeout):
        session = await connect(address)
    try:
        yield session
    finally:
        await _close(session)


async def _close(session: Session) -> None:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await session.close()
    except TimeoutError:
        session.abandon("did not close in time")


async def _connect_patiently(context: Context, address: Address) -> Session | None:
    """Connect to the same node again and again; None when the load ends before that succeeds."""
    told = False
    async for attempt in tenacity.AsyncRetrying(
        wait=tenacity.wait_exponential(0.1, max=2),
        retry=tenacity.retry_if_exception_type((SessionLost, TimeoutError)),
        sleep=partial(_wait, context.stop),
        stop=lambda _: context.stop.is_set(),
        retry_error_callback=lambda _: None,
    ):
        with attempt:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    session = await connect(address)
            except (SessionLost, TimeoutError) as problem:
                if not told:
                    context.say(f"{address.node}: no connection: {problem or 'no answer in time'}")
                    told = True
                raise
            context.say(f"{address.node}: connected" + (" again" if told else ""))
            return session
    return None


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but not beyond the moment when the load ends."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()
    except TimeoutError:
        pass
