"""Publishers: unique integers, persistent and mandatory, each confirmed, failed for certain, or unknown.

The rule that everything hangs on: ``fail`` means that it definitely did not happen (nacked, or returned as unroutable);
any doubt (no answer in time, a connection lost after sending) is ``info``, and that process never acts again: its
successor has another number.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Sequence
from itertools import count
from typing import Any

from jepsenvm.history.op import Type
from jepsenvm.plan.config import Plan
from jepsenvm.rabbitmq.amqp import Address, Outcome, Session, SessionLost
from jepsenvm.rabbitmq.connections import close
from jepsenvm.workloads.connections import connect_patiently, wait
from jepsenvm.workloads.workload import Context, Tally

logger = logging.getLogger(__name__)


def publishing(context: Context) -> list[Address]:
    """Return where each publisher connects: every node has as many as the plan says."""
    return [address for address in context.addresses for _ in range(context.plan.publishers)]


def slots_wanted(context: Context) -> int:
    """Return how many ops of publishers may be under way together."""
    return len(publishing(context)) * context.plan.window


def publishers(context: Context, slots: Sequence[Iterator[int]]) -> list[Coroutine[Any, Any, None]]:
    """Return the plan's publishers to the run's queue; ``slots`` are the process numbers of each op under way."""
    plan, addresses = context.plan, publishing(context)
    work = []
    for index, address in enumerate(addresses):
        own = slots[index * plan.window : (index + 1) * plan.window]
        name = (
            address.node
            if plan.publishers == 1
            else f"{address.node}.{index % plan.publishers + 1}"
        )
        context.tallies[name] = Tally()
        pace = _Pace(len(addresses) / plan.rate if plan.rate else 0.0, context.stop)
        work.append(
            _publish(
                context,
                address,
                own,
                _values(plan, index, len(addresses)),
                context.tallies[name],
                pace,
            )
        )
    return work


def _values(plan: Plan, index: int, publishers: int) -> Iterator[int]:
    return iter(
        range(index, plan.messages, publishers) if plan.messages else count(index, publishers)
    )


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
        await wait(self._stop, self._next - now)


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
        session = await connect_patiently(
            context, address, transactions=context.plan.confirm == "transactions"
        )
        if session is None:
            return
        async with asyncio.TaskGroup() as window:
            for slot, process in enumerate(processes):
                window.create_task(
                    _one_at_a_time(context, session, process, todo, tally, pace), name=str(slot)
                )
        if session.lost is not None:
            logger.info(f"{address.node}: connection lost: {session.lost}")
            # Every slot may have had an op in flight: nobody goes on under its old number.
            processes = [next(slot) for slot in slots]
        else:
            await close(session)


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
    while True:
        await pace.turn()
        if context.stop.is_set() or session.lost is not None or (value := todo.next()) is None:
            return
        type_ = await publish_one(context, session, process, value)
        _count(tally, type_)
        if type_ == "info":
            return


async def publish_one(context: Context, session: Session, process: int, value: int) -> Type:
    """Publish one value to the run's queue as one op; a session whose op is in doubt is given up. Return the ending."""
    node, journal = session.address.node, context.journal
    journal.append("invoke", "enqueue", value, process=process, node=node)
    type_, error = await _attempt(session, context.queue, value, context.plan.op_timeout)
    journal.append(type_, "enqueue", value, process=process, node=node, error=error)
    if type_ == "info":
        session.abandon(error or "unknown")
    return type_


async def _attempt(
    session: Session, queue: str, value: int, timeout: float
) -> tuple[Type, str | None]:
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
