"""How far a node's clock is ahead of this machine's clock."""

from __future__ import annotations

import time
from typing import Final

from jepsenvm.machines.ssh import Fleet

READINGS: Final = 10
"""How often the clock is read. A busy machine delays most answers, and rarely all of them."""


def clock_offset(fleet: Fleet, node: str) -> float:
    """Return the seconds by which a node's wall clock is ahead of this machine's.

    The clock is read several times over SSH, and the fastest reading counts. A reading is wrong by
    at most half of its duration (F. Cristian, "Probabilistic clock synchronization", 1989). Raise
    ValueError for an answer that is no time.
    """
    readings = []
    for _ in range(READINGS):
        asked = time.time()
        clock = float(fleet.plain(node, "date +%s.%N").stdout)
        answered = time.time()
        readings.append((answered - asked, clock - (asked + answered) / 2))
    return min(readings)[1]
