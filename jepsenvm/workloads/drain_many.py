"""The drain of several queues: reads all of them, until the broker reports that they are empty."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from typing import Any, Final

from jepsenvm.checkers.wording import counted
from jepsenvm.errors import shorten
from jepsenvm.rabbitmq.amqp import Address, SessionLost, failure_text
from jepsenvm.rabbitmq.connections import close, session
from jepsenvm.workloads.bindings import record_bindings
from jepsenvm.workloads.context import Context, QueueStatus, gone_queues
from jepsenvm.workloads.drain import DRAIN_PROCESS, IDLE_S, until_idle
from jepsenvm.workloads.node_sessions import NodeSessions
from jepsenvm.workloads.reader import Reader, Source
from jepsenvm.workloads.usable_queues import usable_queues

logger = logging.getLogger(__name__)

PREFETCH: Final = 200
SUBSCRIPTIONS: Final = 200
"""Queues that are read at the same time through each node."""

Statuses = Mapping[int, QueueStatus]
"""What every node's listing says about each queue, by its number."""


async def drain_many(context: Context) -> None:
    """Read the run's queues until the broker reports each of them empty or gone.

    Records one op ``drain``: ok, or ``info`` after ``drain-deadline``. Its data has the names of
    queues that are ``gone``, and their numbers (``gone-queues``). Each delivery is a dequeue. The
    bindings are recorded afterwards.
    """
    journal, deadline = context.journal, context.plan.drain_deadline
    journal.append("invoke", "drain", process=DRAIN_PROCESS)
    try:
        async with asyncio.timeout(deadline):
            data = await _Drain(context).until_empty()
    except TimeoutError:
        error = f"not empty after {deadline:g} s"
        journal.append("info", "drain", process=DRAIN_PROCESS, error=error)
        logger.info(f"drain: {error}")
    else:
        journal.append("ok", "drain", process=DRAIN_PROCESS, data=data)
        logger.info(f"drain: {data['received']:,} received, the broker reports {data['broker']}")
    await record_bindings(context)


class _Drain:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._processes = count(DRAIN_PROCESS + 1)
        self._round = 0
        self._received = 0

    async def until_empty(self) -> dict[str, Any]:
        """Read until all queues are empty or gone; return the data of the drain."""
        logged = ""
        while True:
            statuses = await self._listed()
            left = [number for number, status in statuses.items() if status.messages]
            problem = f"of {self._named(left[0])} {statuses[left[0]].text}" if left else ""
            if not left:
                problems = await self._not_confirmed(statuses)
                left = sorted(problems)
                problem = f"of {self._named(left[0])} {problems[left[0]]}" if left else ""
            if not left:
                return self._data(statuses)
            text = f"{counted(len(left), 'queue')} not empty, such as {problem}"
            if text != logged:
                logged = text
                logger.info(f"drain: {self._received:,} received, the broker reports {text}")
            await self._read(left)
            self._round += 1

    def _named(self, number: int) -> str:
        return self._context.routes.queue_name(number)

    async def _listed(self) -> Statuses:
        """Ask all nodes with one listing each."""
        names = self._context.routes.queues
        statuses = await self._context.list_queues(names)
        return {number: statuses[name] for number, name in enumerate(names)}

    def _data(self, statuses: Statuses) -> dict[str, Any]:
        numbers = {self._named(number): number for number in statuses}
        gone = gone_queues({name: statuses[number] for name, number in numbers.items()})
        count_gone = len(gone.get("gone", ()))
        empty = counted(len(statuses) - count_gone, "empty queue")
        return {
            "received": self._received,
            "broker": f"{empty} and {count_gone:,} that are gone from every node"
            if count_gone
            else empty,
            **gone,
            **{f"{key}-queues": [numbers[name] for name in names] for key, names in gone.items()},
        }

    def _shares(self, numbers: Sequence[int]) -> list[tuple[Address, list[int]]]:
        """Return the queues that each node reads in this round.

        A queue that one node does not serve is read through another node in the next round.
        """
        addresses = self._context.addresses
        shares: dict[int, list[int]] = {}
        for number in numbers:
            shares.setdefault((number + self._round) % len(addresses), []).append(number)
        return [(addresses[index], share) for index, share in sorted(shares.items())]

    # What the leaders say.

    async def _not_confirmed(self, statuses: Statuses) -> dict[int, str]:
        """Return the queues of which the leader does not confirm over AMQP what the nodes list.

        The listing alone proves nothing: its counts can be seconds old.
        """
        shares = self._shares(list(statuses))
        problems = await asyncio.gather(
            *(self._ask_leaders(address, share, statuses) for address, share in shares)
        )
        return {number: problem for part in problems for number, problem in part.items()}

    async def _ask_leaders(
        self, address: Address, numbers: Sequence[int], statuses: Statuses
    ) -> dict[int, str]:
        problems = dict[int, str]()
        async with NodeSessions(self._context) as sessions:
            for place, number in enumerate(numbers):
                try:
                    opened = await sessions.to(address)
                    async with asyncio.timeout(address.connect_timeout):
                        ready = await opened.ready(self._named(number))
                except (SessionLost, TimeoutError) as problem:
                    sessions.drop(address)
                    # Each further queue could take as long to fail.
                    text = f"nothing through {address.node}: {failure_text(problem)}"
                    return {**problems, **dict.fromkeys(numbers[place:], text)}
                if ready != statuses[number].messages:
                    problems[number] = f"ready {ready} over AMQP"
        return problems

    # Reading.

    async def _read(self, numbers: Sequence[int]) -> None:
        """Read queues through their nodes of this round, until no more messages come."""
        await asyncio.gather(
            *(self._read_through(address, share) for address, share in self._shares(numbers))
        )

    async def _read_through(self, address: Address, numbers: Sequence[int]) -> None:
        try:
            usable = await usable_queues(self._context, address, numbers)
            for first in range(0, len(usable), SUBSCRIPTIONS):
                await self._read_at_once(address, usable[first : first + SUBSCRIPTIONS])
        except (SessionLost, TimeoutError) as problem:
            self._context.log_once(
                f"drain: not through {address.node}: {shorten(failure_text(problem), 200)}"
            )

    async def _read_at_once(self, address: Address, numbers: Sequence[int]) -> None:
        """Read queues on one channel; raise SessionLost or TimeoutError if the node fails."""
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(session(address, address.connect_timeout))
            reader = Reader(self._context, opened, next(self._processes), PREFETCH)
            stack.push_async_callback(self._end, reader)
            for number in numbers:
                source = Source(next(self._processes), number)
                async with asyncio.timeout(address.connect_timeout):
                    await opened.consume(
                        self._named(number), PREFETCH, partial(reader.deliver, source=source)
                    )
            await until_idle([reader], IDLE_S * address.patience)
            reader.acknowledge()

    async def _end(self, reader: Reader) -> None:
        """Close a reader's session. What still comes is delivered again, in the next round."""
        reader.withhold()
        await close(reader.session)
        self._received += reader.received
        reader.give_up("the drain goes on without this connection")
