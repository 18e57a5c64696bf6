"""The watch for consumers to which the broker delivers nothing from a queue with messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from jepsenvm.rabbitmq.amqp import Session
from jepsenvm.workloads.connections import wait
from jepsenvm.workloads.context import Context

SILENT_S: Final = 15.0
"""Seconds without a delivery after which a consumer asks whether its queues have ready messages."""
RECHECK_S: Final = 2.0
"""Seconds that the broker then has to deliver one of them."""
SILENT: Final = "the broker delivered nothing, although the queue had ready messages"


def _never_full() -> bool:
    """Return False, for a consumer that never holds messages for long."""
    return False


class SilenceWatch:
    """Abandons the session of a consumer to which the broker delivers nothing from a full queue."""

    def __init__(
        self,
        context: Context,
        session: Session,
        received: Callable[[], int],
        full: Callable[[], bool] = _never_full,
        queues: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        """Watch for deliveries of some queues, by default the run's first.

        ``received`` returns the number of deliveries that count as progress.

        ``full`` returns whether the broker may deliver nothing, because a whole prefetch is
        unacknowledged.
        """
        self._context = context
        self._session = session
        self._received = received
        self._full = full
        self._queues = queues or (lambda: [context.queue])
        self._last = received()
        self._since = asyncio.get_running_loop().time()

    async def check(self) -> None:
        """Abandon the session if it is silent. Raise TimeoutError if the broker does not answer."""
        now, received = asyncio.get_running_loop().time(), self._received()
        patience = self._session.address.patience
        if received != self._last:
            self._last, self._since = received, now
        if now - self._since < SILENT_S * patience:
            return
        self._since = now
        if self._full():
            return
        if not await self._any_ready():
            return
        await wait(self._context.stop, RECHECK_S * patience)
        silent = self._received() == received and not self._full()
        if silent and not self._context.stop.is_set():
            self._session.abandon(SILENT)

    async def _any_ready(self) -> bool:
        """Return whether a queue has ready messages."""
        for queue in self._queues():
            async with asyncio.timeout(self._session.address.connect_timeout):
                if await self._session.ready(queue):
                    return True
        return False
