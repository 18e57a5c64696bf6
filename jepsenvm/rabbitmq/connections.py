"""AMQP connections with a deadline for opening and for closing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jepsenvm.rabbitmq.amqp import Address, Session, connect


@asynccontextmanager
async def session(address: Address, timeout: float) -> AsyncIterator[Session]:
    """Open a session within so many seconds, and close it in the end."""
    async with asyncio.timeout(timeout):
        opened = await connect(address)
    try:
        yield opened
    finally:
        await close(opened)


async def close(opened: Session) -> None:
    """Close a session in good order if that can be, and give it up if not."""
    try:
        async with asyncio.timeout(opened.address.connect_timeout):
            await opened.close()
    except TimeoutError:
        opened.abandon("did not close in time")
