"""Units of time. A history counts in nanoseconds since the run began."""

from __future__ import annotations

from typing import Final

SECOND: Final = 1_000_000_000
MILLISECOND: Final = 1_000_000
