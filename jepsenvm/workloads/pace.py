"""The pace of publishers: how long each waits before its next message."""

from __future__ import annotations

import asyncio

from jepsenvm.plan.rate import RateCurve
from jepsenvm.workloads.connections import wait


class Pace:
    """Spaces out one publisher's ops. A publisher that falls behind does not catch up."""

    def __init__(
        self, curve: RateCurve | None, publishers: int, began: float, stop: asyncio.Event
    ) -> None:
        """Each of some ``publishers`` has an equal share of the curve.

        ``began`` is the event loop's time at which the load began.
        """
        self._curve = curve
        self._publishers = publishers
        self._began = began
        self._stop = stop
        self._last = 0.0

    async def turn(self) -> None:
        """Wait until the next message is due, or the load ends."""
        if self._curve is None:
            return
        now = asyncio.get_running_loop().time() - self._began
        due = self._curve.time(self._curve.messages(self._last) + self._publishers)
        self._last = max(due, now)
        await wait(self._stop, self._last - now)
