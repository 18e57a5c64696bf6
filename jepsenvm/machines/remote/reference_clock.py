"""The reference clock: the wall clock as it would be without a clock fault.

Faults fire at instants of this clock. With the wall clock itself, a clock fault would move the
instants of all other faults on this host.
"""

from __future__ import annotations

import time
from pathlib import Path

MOVED = Path(
    "/run/jepsenvm/clock"
)  # the offset of the wall clock from the monotonic clock; it exists during a clock fault


def wall() -> float:
    """Return the time that the wall clock would show without a clock fault."""
    try:
        return float(MOVED.read_text()) + time.monotonic()
    except (OSError, ValueError):
        return time.time()
