"""Time bins: equal intervals of a run, in which a report counts ops instead of listing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from jepsenvm.history.table import History, Ints
from jepsenvm.history.units import SECOND

MOST_BINS: Final = 1200
"""A chart has at most this many bins. A screen has few more columns of pixels."""


@dataclass(frozen=True)
class TimeBins:
    """Intervals of the same width, from the begin of a run to its last op."""

    width: int
    """Nanoseconds; a whole number of seconds."""
    count: int

    @classmethod
    def over(cls, end: int, most: int = MOST_BINS) -> TimeBins:
        """Return at most ``most`` bins that reach from 0 to ``end`` (nanoseconds)."""
        width = SECOND * max(1, -(-(end + 1) // (SECOND * most)))
        return cls(width, max(1, -(-(end + 1) // width)))

    def of(self, times: Ints) -> Ints:
        """Return the bin of each time; a time outside of the run is in the nearest bin."""
        bins: Ints = np.clip(times // self.width, 0, self.count - 1)
        return bins

    def per_second(self, counts: npt.NDArray[np.integer]) -> list[float]:
        """Return counts of bins as rates per second."""
        seconds = self.width // SECOND
        return [round(count / seconds, 2) for count in counts.tolist()]


def last_time(history: History) -> int:
    """Return the greatest time of a history, in nanoseconds; 0 if it is empty."""
    return max((int(chunk.time.max()) for chunk in history if len(chunk.time)), default=0)
