"""Publishers: unique values in persistent, mandatory messages to the run's queues.

Every publish is one op ``enqueue``, and its completion decides whether a loss can be proven:

- ``ok``: the broker confirmed the message, or committed the transaction with it.
- ``fail``: the broker refused the message (``basic.nack``), or returned it because it could not
  route it. The message is definitely in no queue. If it is routed to several queues, a nack says
  only that one of them refused it, which is ``info``.
- ``info``: everything else, such as a timeout or a connection that closed after the publish was
  sent. The broker may have the message. The process number retires, as in Jepsen: the op stays
  open for the rest of the history, and a process has one open op at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from itertools import count
from typing import Any, Final

from jepsenvm.history.op import Type
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.rate import rate_curve
from jepsenvm.rabbitmq.amqp import Address, Outcome, Session, SessionLost
from jepsenvm.rabbitmq.connections import close
from jepsenvm.workloads.connection_log import log_connection
from jepsenvm.workloads.connections import ProcessNumbers, connect_with_retries, process_numbers
from jepsenvm.workloads.consumers import consumers
from jepsenvm.workloads.context import Context, OpCounts
from jepsenvm.workloads.pace import Pace
from jepsenvm.workloads.routes import Route

NACKED_BY_ONE: Final = "nacked: at least one of its queues does not have it"


def publisher_addresses(context: Context) -> list[Address]:
    """Return the address of each publisher, as many per node as the plan's ``publishers``."""
    return [address for address in context.addresses for _ in range(context.plan.publishers)]


def concurrent_publishes(context: Context) -> int:
    """Return how many publishes can be in flight at the same time; each needs a process."""
    return len(publisher_addresses(context)) * context.plan.window


def publishers_only(context: Context) -> list[Coroutine[Any, Any, None]]:
    """Return the plan's publishers, for a load without consumers."""
    return publishers(context, process_numbers(concurrent_publishes(context)))


def publishers_and_consumers(
    context: Context, *, single_active: bool = False
) -> list[Coroutine[Any, Any, None]]:
    """Return the plan's publishers and consumers, with separate process numbers.

    ``single_active`` says that the queue delivers to one consumer at a time.
    """
    publishing = concurrent_publishes(context)
    processes = process_numbers(publishing + context.plan.consumers)
    return [
        *publishers(context, processes[:publishing]),
        *consumers(
            context,
            processes[publishing:],
            first_client=len(publisher_addresses(context)),
            single_active=single_active,
        ),
    ]


def publishers(
    context: Context, processes: Sequence[ProcessNumbers]
) -> list[Coroutine[Any, Any, None]]:
    """Return the plan's publishers, as far as they are in the share of this process.

    ``processes`` has the process numbers for each publish in flight: ``window`` of them per
    publisher.
    """
    plan, addresses = context.plan, publisher_addresses(context)
    curve, began = rate_curve(plan.rate), asyncio.get_running_loop().time()
    clients = []
    for index, address in enumerate(addresses):
        if not context.share.has(index):
            continue
        name = (
            address.node
            if plan.publishers == 1
            else f"{address.node}.{index % plan.publishers + 1}"
        )
        context.op_counts[name] = OpCounts()
        publisher = _Publisher(
            context,
            address,
            values_of(plan, index, len(addresses)),
            context.op_counts[name],
            Pace(curve, len(addresses), began, context.stop),
        )
        clients.append(publisher.run(processes[index * plan.window : (index + 1) * plan.window]))
    return clients


def values_of(plan: Plan, index: int, publishers: int) -> Iterator[int]:
    """Return the values of one publisher, which are different for each; endless without a limit."""
    return iter(
        range(index, plan.messages, publishers) if plan.messages else count(index, publishers)
    )


class _Publisher:
    """One publisher with one connection at a time and ``window`` publishes in flight on it."""

    def __init__(
        self,
        context: Context,
        address: Address,
        values: Iterator[int],
        counts: OpCounts,
        pace: Pace,
    ) -> None:
        self._context = context
        self._address = address
        self._values = values
        self._exhausted = False
        self._counts = counts
        self._pace = pace

    async def run(self, processes: Sequence[ProcessNumbers]) -> None:
        """Publish until the load ends or the values do; reconnect after a lost connection."""
        context, node = self._context, self._address.node
        _retire(processes)
        while not context.stop.is_set() and not self._exhausted:
            session = await connect_with_retries(
                context, self._address, transactions=context.plan.confirm == "transactions"
            )
            if session is None:
                return
            async with asyncio.TaskGroup() as window:
                for numbers in processes:
                    window.create_task(self._publish_in_turn(session, numbers))
            if session.lost is not None:
                log_connection(f"{node}: connection lost", session.lost)
                # Each process may have had a publish in flight, so all of them retire.
                _retire(processes)
            else:
                await close(session)

    async def _publish_in_turn(self, session: Session, processes: ProcessNumbers) -> None:
        """Publish one value after another until the session is lost; an op in doubt retires its
        process."""
        while True:
            await self._pace.turn()
            if self._context.stop.is_set() or session.lost is not None:
                return
            value = self._next_value()
            if value is None:
                return
            completion = await publish_one(self._context, session, processes.current, value)
            self._count(completion)
            if completion == "info" and session.lost is None:
                next(processes)

    def _next_value(self) -> int | None:
        value = next(self._values, None)
        self._exhausted = value is None
        return value

    def _count(self, completion: Type) -> None:
        match completion:
            case "ok":
                self._counts.ok += 1
            case "fail":
                self._counts.failed += 1
            case _:
                self._counts.unknown += 1


def _retire(processes: Sequence[ProcessNumbers]) -> None:
    for numbers in processes:
        next(numbers)


async def publish_one(context: Context, session: Session, process: int, value: int) -> Type:
    """Publish one value to the queues of its route as one op; return how it completed."""
    node, journal = session.address.node, context.journal
    body = context.bodies.of(value)
    journal.append("invoke", "enqueue", value, process=process, node=node)
    completion, error = await _complete(context, session, context.routes.of(value), body)
    journal.append(completion, "enqueue", value, process=process, node=node, error=error)
    return completion


async def _complete(
    context: Context, session: Session, route: Route, body: bytes
) -> tuple[Type, str | None]:
    """Publish a message; return the op's completion and its error.

    The session is abandoned if there is no answer. A late confirm on this connection could be taken
    for the confirm of another message.
    """
    timeout = context.plan.op_timeout
    try:
        outcome = await session.publish(
            route.key, body, exchange=route.exchange, headers=route.headers, timeout=timeout
        )
    except TimeoutError:
        # info, not fail: the message was sent, and the confirm may still be on its way.
        error = f"no confirm within {timeout:g} s"
        session.abandon(error)
        return "info", error
    except SessionLost as lost:
        # info, not fail: the broker may have stored the message before the connection was lost.
        session.abandon(str(lost))
        return "info", str(lost)
    if outcome is Outcome.CONFIRMED:
        return "ok", None
    if outcome is Outcome.NACKED and context.plan.fan_out > 1:
        return "info", NACKED_BY_ONE
    # fail: a nack or a return is the broker's own statement that it does not have the message.
    return "fail", outcome.value
