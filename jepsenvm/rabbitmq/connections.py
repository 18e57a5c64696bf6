"""AMQP connections with a deadline for opening and for closing, and which nodes refuse them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from jepsenvm.rabbitmq.amqp import Address, Session, SessionLost, connect, failure_text


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


async def refusals(addresses: Iterable[Address], timeout: float) -> dict[str, str]:
    """Return why no session can be opened within ``timeout`` seconds, by node.

    A node may listen and still refuse every client, such as while its virtual host is down.
    """
    addresses = list(addresses)
    reasons = await asyncio.gather(*(_refusal(address, timeout) for address in addresses))
    return {
        address.node: reason
        for address, reason in zip(addresses, reasons, strict=True)
        if reason is not None
    }


async def _refusal(address: Address, timeout: float) -> str | None:
    try:
        async with session(address, timeout):
            return None
    except (SessionLost, TimeoutError) as error:
        return failure_text(error)
