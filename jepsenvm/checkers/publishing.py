"""publishing: who published a value and when, and what goes backwards against that order.

RabbitMQ keeps the order of what was published on one channel to one queue, so the unit of order is the publishing
process: its messages were published in the order of its invocations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jepsenvm.checkers.rows import rows
from jepsenvm.history.table import History, Ints, Mask


@dataclass(frozen=True)
class Publishing:
    """Every attempt to publish, in the order of invocation; a value's turn is its index here."""

    value: Ints
    process: Ints
    _sorted: Ints
    """The different values, ascending."""
    _turn: Ints
    """The turn of each, -1 for a value that was attempted more than once: nobody knows which attempt came."""

    def turns(self, values: Ints) -> Ints:
        """Return when each value was published; -1 for what was never attempted, or more than once."""
        if not len(self._sorted):
            return np.full(len(values), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._sorted, values), len(self._sorted) - 1)
        found: Ints = np.where(self._sorted[at] == values, self._turn[at], -1)
        return found

    def attempted(self, values: Ints) -> Mask:
        """Return which of these values anybody tried to publish."""
        tried: Mask = np.isin(values, self._sorted)
        return tried


def publishing(history: History) -> Publishing:
    """Return what was invoked to be enqueued, by whom and in which order."""
    attempts = rows(history, "invoke", "enqueue")
    values, first, count = np.unique(attempts.value, return_index=True, return_counts=True)
    return Publishing(attempts.value, attempts.process, values, np.where(count == 1, first, -1))


def highest_before(turn: Ints, *lanes: Ints) -> Ints:
    """Return for each row the highest turn of the rows above it that are in the same lanes; -1 where there are none."""
    by_lane = np.lexsort(lanes)  # stable: the rows of a lane keep their order
    begins = np.zeros(len(turn), dtype=bool)
    for lane in lanes:
        begins[1:] |= np.diff(lane[by_lane]) != 0
    if len(turn):
        begins[0] = True
    # Raised by its lane's number, no turn of an earlier lane reaches those of a later one: one running maximum does.
    step = int(turn.max(initial=0)) + 2
    raised = np.maximum.accumulate(turn[by_lane] + np.cumsum(begins) * step)
    above = np.empty_like(turn)
    above[1:] = (raised - np.cumsum(begins) * step)[:-1]
    above[begins] = -1
    highest = np.empty_like(turn)
    highest[by_lane] = above
    return highest


def first_of_each(values: Ints) -> Mask:
    """Return which rows are the first of their value."""
    first = np.zeros(len(values), dtype=bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first
