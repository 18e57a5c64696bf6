"""AMQP connections with a deadline for opening and for closing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jepsenvm.rabbitmq.amqp import Address, Session, connect


@asynccontextmanager
async def session(address: Address, timeout: float) -> AsyncIterator[Session]:
    """Open a session within ``timeout`` seconds, and close it at the end of the context.

    Raise SessionLost if the broker refuses, TimeoutError if it does not answer in time.
    """
    async with asyncio.timeout(timeout):
        opened = await connect(address)
    try:
        yield opened
    finally:
        await close(opened)


async def close(opened: Session) -> None:
    """Close a session cleanly, or abandon it if the broker does not answer in time."""
    try:
        async with asyncio.timeout(opened.address.connect_timeout):
            await opened.close()
    except TimeoutError:
        opened.abandon("did not close in time")
