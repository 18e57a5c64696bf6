"""The clock that the engine waits by. Tests replace it."""

from __future__ import annotations

import time


class Clock:
    """The clocks of this machine."""

    def time(self) -> float:
        """Return the wall clock in seconds: the instants of faults are given by it."""
        return time.time()

    def monotonic(self) -> float:
        """Return the monotonic clock in seconds: deadlines are kept by it."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep; a negative time is none."""
        time.sleep(max(0.0, seconds))

    def sleep_until(self, instant: float) -> None:
        """Sleep until an instant of the wall clock."""
        self.sleep(instant - self.time())
