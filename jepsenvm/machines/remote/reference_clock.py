"""The time that all nodes agree on, which goes on when a fault of ours moves this node's clock."""

from __future__ import annotations

import time
from pathlib import Path

MOVED = Path(
    "/run/jepsenvm/clock"
)  # what the wall clock was ahead of the monotonic one, while a fault moves it


def wall() -> float:
    """Return what the wall clock would show if no fault of ours had moved it."""
    try:
        return float(MOVED.read_text()) + time.monotonic()
    except (OSError, ValueError):
        return time.time()
