"""SIGINT, SIGTERM and SIGHUP during a run: the first ends the load, the second skips the drain."""

from __future__ import annotations

import asyncio
import logging

from jepsenvm.experiment.interrupt import heeded

logger = logging.getLogger(__name__)


class Interrupts:
    """The signals that a run has received."""

    def __init__(self, stop: asyncio.Event) -> None:
        """``stop`` is the event that ends the load."""
        self._stop = stop
        self.received = asyncio.Event()
        """Set by the first signal."""
        self.skip_drain = asyncio.Event()
        """Set by the second signal."""

    def listen(self) -> None:
        """Handle the signals on the running loop, until it is closed."""
        loop = asyncio.get_running_loop()
        for number in heeded():
            loop.add_signal_handler(number, self.handle)

    def handle(self) -> None:
        """Handle one signal."""
        if self.received.is_set():
            self.skip_drain.set()
            return
        self.received.set()
        self._stop.set()
        logger.info(
            "interrupted: healing, then draining for a verdict; another signal skips the drain"
        )
