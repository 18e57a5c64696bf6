"""Connections of clients: opened with a deadline, again and again to the same node, and closed in good order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from functools import partial
from itertools import count

import tenacity

from jepsenvm.rabbitmq.amqp import Address, Session, SessionLost, connect
from jepsenvm.workloads.workload import Context

logger = logging.getLogger(__name__)


def numbered(concurrency: int) -> list[Iterator[int]]:
    """Return for each of so many clients the process numbers that it may have, one after the other.

    A process whose op is in doubt never acts again: its successor has another number.
    """
    return [count(first, concurrency) for first in range(concurrency)]


async def connect_patiently(
    context: Context, address: Address, *, transactions: bool = False, whose: str = ""
) -> Session | None:
    """Connect to the same node again and again; None when the load ends before that succeeds."""
    told = False
    name = f"{address.node}: {whose}".rstrip(": ")
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
                if not told:
                    logger.info(f"{name}: no connection: {problem or 'no answer in time'}")
                    told = True
                raise
            logger.info(f"{name}: connected" + (" again" if told else ""))
            return opened
    return None


async def wait(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but not beyond the moment when the load ends."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()
    except TimeoutError:
        pass
