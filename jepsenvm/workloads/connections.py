"""Connections of the load's clients: process numbers, and connecting with retries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from itertools import count

import tenacity

from jepsenvm.rabbitmq.amqp import Address, Session, SessionLost, connect, failure_text
from jepsenvm.workloads.connection_log import log_connection
from jepsenvm.workloads.context import Context


class ProcessNumbers(Iterator[int]):
    """The process numbers of one client.

    A process with an op in doubt retires. Its client then takes its next number, as in Jepsen:
    the first number plus the number of clients.
    """

    def __init__(self, first: int, clients: int) -> None:
        self._numbers = count(first, clients)
        self.current = first
        """The number that was taken last."""

    def __next__(self) -> int:
        self.current = next(self._numbers)
        return self.current


def process_numbers(clients: int) -> list[ProcessNumbers]:
    """Return the process numbers of each client; no number is used twice."""
    return [ProcessNumbers(first, clients) for first in range(clients)]


async def connect_with_retries(
    context: Context, address: Address, *, transactions: bool = False, role: str = ""
) -> Session | None:
    """Connect to a node, with retries; return None if the load ends first.

    ``role`` names the client in the log, if it is not the publisher.
    """
    name = f"{address.node}: {role}".rstrip(": ")
    failed = False
    with context.clients.connecting(address.node):
        async for attempt in tenacity.AsyncRetrying(
            wait=tenacity.wait_exponential(0.1, max=2),
            retry=tenacity.retry_if_exception_type((SessionLost, TimeoutError)),
            sleep=partial(wait, context.stop),
            stop=lambda _: context.stop.is_set(),
            retry_error_callback=lambda _: None,
        ):
            with attempt:
                try:
                    async with asyncio.timeout(address.connect_timeout):
                        opened = await connect(address, transactions=transactions)
                except (SessionLost, TimeoutError) as problem:
                    if not failed:
                        log_connection(f"{name}: no connection", failure_text(problem))
                        failed = True
                    raise
                log_connection(f"{name}: connected" + (" again" if failed else ""))
                context.clients.connected(opened)
                return opened
    return None


async def wait(stop: asyncio.Event, seconds: float) -> None:
    """Sleep for some seconds, or until the load ends if that comes first."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()
    except TimeoutError:
        pass
