"""Which queues a node serves, asked on a connection of its own.

To consume from a queue that is gone, or whose only node is down, closes the channel, and with it
every other subscription on the channel. So a client of several queues asks first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from jepsenvm.rabbitmq.amqp import Address, SessionLost
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.node_sessions import NodeSessions

ASK_AGAIN_S: Final = 10.0
"""Seconds after which a consumer asks again for its queues that were not served."""

NOT_FOUND: Final = "404 "
"""How the broker's reason begins if a queue is gone, or if its only node is down."""


async def usable_queues(context: Context, address: Address, numbers: Sequence[int]) -> list[int]:
    """Return which of some queues, given by number, can be used through a node.

    Raise SessionLost or TimeoutError if the node does not answer.
    """
    usable = []
    async with NodeSessions(context) as sessions:
        for number in numbers:
            opened = await sessions.to(address)
            try:
                async with asyncio.timeout(address.connect_timeout):
                    await opened.require_queue(context.routes.queue_name(number))
            except SessionLost as lost:
                if not str(lost).startswith(NOT_FOUND):
                    raise
            else:
                usable.append(number)
    return usable


class QueuesOfConsumer:
    """The queues of one consumer, of which some may become usable later."""

    def __init__(self, context: Context, address: Address, numbers: Sequence[int]) -> None:
        self._context = context
        self._address = address
        self._left = list(numbers)
        self._ask_at = 0.0

    async def more(self) -> list[int]:
        """Return the queues that can be used now and were not returned before.

        The only queue of a run is returned without asking.
        """
        now = asyncio.get_running_loop().time()
        if not self._left or now < self._ask_at:
            return []
        self._ask_at = now + ASK_AGAIN_S * self._address.patience
        usable = list(self._left)
        if self._context.plan.queues > 1:
            usable = await usable_queues(self._context, self._address, self._left)
        self._left = [number for number in self._left if number not in usable]
        return usable


def queues_of_consumer(queues: int, consumers: int, index: int) -> list[int]:
    """Return the numbers of the queues of the consumer with this index.

    Each queue has a consumer, and no consumer is without a queue.
    """
    return list(range(index, queues, consumers)) or [index % queues]
