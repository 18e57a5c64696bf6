"""One session to each node, for a drain that asks all nodes in turn."""

from __future__ import annotations

import asyncio

from jepsenvm.rabbitmq.amqp import Address, Session, connect
from jepsenvm.rabbitmq.connections import close
from jepsenvm.workloads.context import Context


class NodeSessions:
    """One session to each node, opened when it is needed, and again after it was lost."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._opened: dict[str, Session] = {}

    async def __aenter__(self) -> NodeSessions:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(_end(opened) for opened in self._opened.values()))

    async def to(self, address: Address) -> Session:
        """Return a session; raise SessionLost or TimeoutError if the node gives none."""
        opened = self._opened.get(address.node)
        if opened is None or opened.lost is not None:
            if opened is not None:
                opened.abandon("lost")
            async with asyncio.timeout(address.connect_timeout):
                opened = self._opened[address.node] = await connect(address)
        return opened

    def drop(self, address: Address) -> None:
        """Give up the session to a node, because it did not answer."""
        opened = self._opened.pop(address.node, None)
        if opened is not None:
            opened.abandon("no answer in time")


async def _end(opened: Session) -> None:
    if opened.lost is None:
        await close(opened)
    else:
        # The broker closed the channel. The connection may still be open.
        opened.abandon("done")
