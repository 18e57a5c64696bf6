"""Publish order: who published a value and when, and which deliveries go backwards.

RabbitMQ keeps the order of messages that were published on one channel to one queue
(https://www.rabbitmq.com/docs/queues#message-ordering). A publishing process uses one channel, so
its messages were published in the order of its invocations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jepsenvm.checkers.op_columns import ops_with_value
from jepsenvm.history.table import History, Ints, Mask

NO_POSITION = -1
"""The position of a value that was attempted never, or more than once."""


@dataclass(frozen=True)
class PublishOrder:
    """Every attempt to publish, in the order of invocation.

    The position of a value is its index in ``value``.
    """

    value: Ints
    process: Ints
    _distinct: Ints
    """The different values, ascending."""
    _position: Ints
    """The position of each different value.

    A value that was attempted more than once has NO_POSITION: nobody knows which attempt was
    delivered.
    """

    def positions(self, values: Ints) -> Ints:
        """Return the position of each value, or NO_POSITION."""
        if not len(self._distinct):
            return np.full(len(values), NO_POSITION, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._distinct, values), len(self._distinct) - 1)
        is_attempted = self._distinct[at] == values
        positions: Ints = np.where(is_attempted, self._position[at], NO_POSITION)
        return positions

    def attempted(self, values: Ints) -> Mask:
        """Return whether each value was attempted."""
        is_attempted: Mask = np.isin(values, self._distinct)
        return is_attempted


def publish_order(history: History) -> PublishOrder:
    """Return all attempts to enqueue, with their processes, in order."""
    attempts = ops_with_value(history, "invoke", "enqueue")
    distinct, first, count = np.unique(attempts.value, return_index=True, return_counts=True)
    position = np.where(count == 1, first, NO_POSITION)
    return PublishOrder(attempts.value, attempts.process, distinct, position)


def highest_before(position: Ints, *lanes: Ints) -> Ints:
    """Return for each row the highest position among the earlier rows of the same lane, or -1.

    ``position`` and ``lanes`` have the same length. Rows with equal values in all ``lanes``, such
    as a publisher and a consumer, are one lane.
    """
    by_lane = np.lexsort(lanes)  # stable, so the rows of a lane keep their order
    begins = np.zeros(len(position), dtype=bool)
    for lane in lanes:
        begins[1:] |= np.diff(lane[by_lane]) != 0
    if len(position):
        begins[0] = True
    # Each lane's positions are raised above all positions of the lanes before it. Then one running
    # maximum over all rows starts afresh in each lane, and no loop over lanes is needed.
    lane_height = int(position.max(initial=0)) + 2
    raise_by = np.cumsum(begins) * lane_height
    running_maximum = np.maximum.accumulate(position[by_lane] + raise_by)
    before = np.empty_like(position)
    before[1:] = (running_maximum - raise_by)[:-1]
    before[begins] = -1
    highest = np.empty_like(position)
    highest[by_lane] = before
    return highest


def first_of_each(values: Ints) -> Mask:
    """Return whether each row is the first one with its value."""
    first = np.zeros(len(values), dtype=bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first
