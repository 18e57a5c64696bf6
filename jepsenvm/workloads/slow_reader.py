"""A slow reader: takes its time for each message before it acknowledges it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from jepsenvm.rabbitmq.amqp import Delivery, Session
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.reader import Reader, Source


class SlowReader(Reader):
    """Acknowledges one delivery after the other, each after another delay."""

    def __init__(
        self,
        context: Context,
        session: Session,
        process: int,
        prefetch: int,
        delays: Iterator[float],
    ) -> None:
        """``delays`` are the seconds that each message takes."""
        super().__init__(context, session, process, prefetch)
        self._delays = delays
        self._timer: asyncio.TimerHandle | None = None

    def deliver(self, delivery: Delivery, source: Source | None = None) -> None:
        """Record one delivery. It is acknowledged after those before it, and its own delay."""
        self._record(delivery, source)
        if self._timer is None:
            self._begin()

    def acknowledge(self) -> None:
        """Do nothing: every delivery is acknowledged in its own time."""

    def withhold(self) -> None:
        """Acknowledge nothing from now on."""
        super().withhold()
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(next(self._delays), self._finish)

    def _finish(self) -> None:
        self._timer = None
        if self._withheld or self.session.lost is not None:
            return
        self._context.journal.flush()
        tag, _, _ = self._held.pop(0)
        self.session.settle(tag, returned=False)
        if self._held:
            self._begin()
