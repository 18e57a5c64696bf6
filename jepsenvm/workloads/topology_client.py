"""The clients of workload topology: each declares, binds and deletes its own names.

- ``ok``: the broker answered.
- ``fail``: the broker refused the op (403, 404, 405 or 406), which closed the channel. It changed
  nothing.
- ``info``: everything else. The op may take effect at any later time.

An op is recorded and written to the history before it is sent. A controller that is killed then
leaves no queue of which its history knows nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from itertools import islice
from typing import Any, Final

from jepsenvm.checkers.topology_things import bound_exchange, bound_queue
from jepsenvm.history.op import Type
from jepsenvm.plan.rate import rate_curve
from jepsenvm.rabbitmq.amqp import Address, Delivery, Session, SessionLost, failure_text
from jepsenvm.workloads.connections import connect_with_retries, process_numbers, wait
from jepsenvm.workloads.context import Context, OpCounts
from jepsenvm.workloads.declare import queue_arguments
from jepsenvm.workloads.pace import Pace
from jepsenvm.workloads.publishers import publisher_addresses, values_of
from jepsenvm.workloads.topology_names import Names, Step

logger = logging.getLogger(__name__)

REFUSALS: Final = ("403 ", "404 ", "405 ", "406 ")
"""AMQP reply codes of a broker that did nothing: refused, not found, locked, precondition."""

CLOSED_BY_CLIENT: Final = "200 "
"""The reply code of a connection that the client closed and the broker agreed to close."""

EXCHANGE_TYPES: Final = ("direct", "topic")
RECONNECT_DELAY_S: Final = 0.2
CLASSIC: Final = {"x-queue-type": "classic"}


def name_of(run: str, number: int) -> str:
    """Return the name of a queue or an exchange of a run; ``run`` is the run's own queue."""
    return f"{run}.{number}"


def routing_key(queue: int) -> str:
    """Return the routing key of each binding of a queue."""
    return str(queue)


def clients(context: Context, names: list[Names]) -> list[Coroutine[Any, Any, None]]:
    """Return one client for each of ``names``, distributed over the nodes."""
    addresses, plan = publisher_addresses(context), context.plan
    curve, began = rate_curve(plan.rate), asyncio.get_running_loop().time()
    running = []
    for index, (address, numbers) in enumerate(
        zip(addresses, process_numbers(len(addresses)), strict=True)
    ):
        pace = Pace(curve, len(addresses), began, context.stop)
        ops = values_of(plan, index, len(addresses))
        client = _Client(context, address, names[index], pace, ops)
        running.append(client.run(numbers))
    return running


class _Client:
    """A client with one connection at a time, which does one op after the other."""

    def __init__(
        self, context: Context, address: Address, names: Names, pace: Pace, ops: Iterator[int]
    ) -> None:
        """Make a client. It does as many ops as ``ops`` has elements."""
        self._context = context
        self._address = address
        self._names = names
        self._pace = pace
        self._ops = ops
        self._exhausted = False
        self._consumer = ""
        """The tag of the consumer of the auto-delete queue."""
        self._counts = context.op_counts.setdefault(address.node, OpCounts())

    async def run(self, processes: Iterator[int]) -> None:
        """Act until the load ends or the ops do. Each connection is another process."""
        while not self._context.stop.is_set() and not self._exhausted:
            opened = await connect_with_retries(self._context, self._address)
            if opened is None:
                return
            await self._use(opened, next(processes))
            # The broker may have closed only the channel, and exclusive queues live as long as the
            # connection.
            opened.abandon("the channel is closed")
            self._names.disconnected()
            await wait(self._context.stop, RECONNECT_DELAY_S)

    async def _use(self, opened: Session, process: int) -> None:
        """Do one op after the other until the connection is closed or lost."""
        while opened.lost is None:
            await self._pace.turn()
            step = Step("close") if self._is_over() else self._names.draw()
            completion = await self._do(opened, process, step)
            self._names.completed(step, completion)

    def _is_over(self) -> bool:
        if self._context.stop.is_set():
            return True
        self._exhausted = not any(True for _ in islice(self._ops, 1))
        return self._exhausted

    async def _do(self, opened: Session, process: int, step: Step) -> Type:
        """Do one op; return how it completed. Only an ok op leaves the connection open."""
        journal, node = self._context.journal, self._address.node
        journal.append("invoke", step.f, step.value, process=process, node=node)
        journal.flush()
        completion, error = await self._complete(opened, step)
        journal.append(completion, step.f, step.value, process=process, node=node, error=error)
        self._count(completion)
        if completion != "ok":
            opened.abandon(error or "in doubt")
        return completion

    async def _complete(self, opened: Session, step: Step) -> tuple[Type, str | None]:
        timeout = self._context.plan.op_timeout
        try:
            async with asyncio.timeout(timeout):
                await self._send(opened, step)
        except (SessionLost, TimeoutError) as problem:
            error = failure_text(problem, f"no answer within {timeout:g} s")
            return ("fail" if error.startswith(REFUSALS) else "info"), error
        return "ok", None

    async def _send(self, opened: Session, step: Step) -> None:
        """Send one op to the broker, and wait for its answer."""
        if step.value is None:
            await _close(opened)
        elif step.f in ("bind", "unbind"):
            change = opened.bind if step.f == "bind" else opened.unbind
            await change(*self._ends(step.value))
        else:
            await self._change(opened, step.f, step.value)

    async def _change(self, opened: Session, f: str, number: int) -> None:
        """Change a queue or an exchange."""
        name = name_of(self._context.queue, number)
        match f:
            case "declare-queue":
                await opened.declare(name, queue_arguments(self._context.plan))
            case "delete-queue":
                await opened.delete(name)
            case "declare-exchange":
                type_ = EXCHANGE_TYPES[number % len(EXCHANGE_TYPES)]
                await opened.declare_exchange(name, type_)
            case "delete-exchange":
                await opened.delete_exchange(name)
            case "declare-exclusive":
                await opened.declare(name, CLASSIC, exclusive=True)
            case "declare-auto-delete":
                await opened.declare(name, CLASSIC, auto_delete=True)
            case "consume":
                self._consumer = await opened.consume(name, 1, _ignore)
            case _:
                await opened.cancel(self._consumer)

    def _ends(self, number: int) -> tuple[str, str, str]:
        """Return the queue, the exchange and the routing key of a binding."""
        run, queue = self._context.queue, bound_queue(number)
        return name_of(run, queue), name_of(run, bound_exchange(number)), routing_key(queue)

    def _count(self, completion: Type) -> None:
        match completion:
            case "ok":
                self._counts.ok += 1
            case "fail":
                self._counts.failed += 1
            case _:
                self._counts.unknown += 1


async def _close(opened: Session) -> None:
    """Close a connection; raise SessionLost unless the broker agreed to close it."""
    await opened.close()
    if opened.lost is not None and not opened.lost.startswith(CLOSED_BY_CLIENT):
        raise SessionLost(opened.lost)


def _ignore(_: Delivery) -> None:
    """Ignore a delivery: nobody publishes during the load."""
