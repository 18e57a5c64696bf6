"""Message times: when each message was confirmed and by whom, and when it came back first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from jepsenvm.checkers.fault_intervals import NEVER
from jepsenvm.checkers.total_queue import END
from jepsenvm.history.table import History, Ints
from jepsenvm.report.time_bins import TimeBins

DELIVERIES: Final = ("dequeue", "read")
"""The names of ops that are ok when a message came back."""

MOST_VALUES: Final = 1 << 28
"""Values up to here have a place in the table. Those of a run are consecutive integers from 0."""


@dataclass
class MessageTimes:
    """Times in nanoseconds since the run began, by value. NEVER is for what did not happen."""

    confirmed: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    delivered: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    node: npt.NDArray[np.int16] = field(default_factory=lambda: np.empty(0, dtype=np.int16))
    """The code of the node that confirmed it; -1 for no name."""
    outside: bool = False
    """Whether a value has no place in the table, so that sums over the table miss it."""

    def missing(self) -> Ints:
        """Return the values that were confirmed and never came back."""
        return np.flatnonzero((self.confirmed != NEVER) & (self.delivered == NEVER))

    def depth(self, bins: TimeBins) -> Ints:
        """Return how many messages were confirmed and had not come back, at the end of each bin."""
        known = self.confirmed != NEVER
        back = known & (self.delivered != NEVER)
        left = np.maximum(self.delivered[back], self.confirmed[back])
        counts: Ints = np.cumsum(_per_bin(self.confirmed[known], bins) - _per_bin(left, bins))
        return counts

    def _grow(self, size: int) -> None:
        if size > len(self.confirmed):
            more = max(size, 2 * len(self.confirmed)) - len(self.confirmed)
            never = np.full(more, NEVER, dtype=np.int64)
            self.confirmed = np.concatenate([self.confirmed, never])
            self.delivered = np.concatenate([self.delivered, never])
            self.node = np.concatenate([self.node, np.full(more, -1, dtype=np.int16)])

    def add(self, values: Ints, times: Ints, nodes: Ints | None) -> None:
        """Add confirms with their nodes, or deliveries, in the order of their times."""
        inside = (values >= 0) & (values < MOST_VALUES)
        # A negative value is a corrupted delivery, and END is no message of the load.
        self.outside |= bool(((values >= MOST_VALUES) & (values != END)).any())
        values, times = values[inside], times[inside]
        if not len(values):
            return
        self._grow(int(values.max()) + 1)
        table = self.delivered if nodes is None else self.confirmed
        # The first time counts. Of repeated places the last assignment stays, so go backwards.
        new = np.flatnonzero(table[values] == NEVER)[::-1]
        table[values[new]] = times[new]
        if nodes is not None:
            self.node[values[new]] = nodes[inside][new]


def message_times(history: History) -> MessageTimes:
    """Return the times of all messages, collected in one pass."""
    table = MessageTimes()
    for chunk in history:
        rows = history.mask(chunk, "ok", "enqueue") & chunk.has_value
        table.add(chunk.value[rows], chunk.time[rows], chunk.node[rows])
        for f in DELIVERIES:
            rows = history.mask(chunk, "ok", f) & chunk.has_value
            table.add(chunk.value[rows], chunk.time[rows], None)
    return table


def _per_bin(times: Ints, bins: TimeBins) -> Ints:
    return np.bincount(bins.of(times), minlength=bins.count)
