"""From which queue each delivery came, in the history of a run with several queues.

A process gets deliveries from one queue. The invocation of its first dequeue names the queue in its
data, so that the other dequeues need no data, which is slow to read.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from jepsenvm.history.table import History, Ints

QUEUE: Final = "queue"
"""The key of the queue's number in the data of an invoked dequeue."""

UNKNOWN: Final = -1
"""The queue of a process that named none, or several."""


class DeliveryQueues:
    """The queue of each process that got deliveries."""

    def __init__(self, history: History, queues: int) -> None:
        """Read what the processes recorded; only numbers below ``queues`` count.

        In a run with one queue, all deliveries come from that.
        """
        self._only_one = queues == 1
        by_process: dict[int, int] = {}
        for chunk in () if self._only_one else history:
            rows = np.flatnonzero(history.mask(chunk, "invoke", "dequeue") & chunk.has_data)
            for row, process in zip(rows.tolist(), chunk.process[rows].tolist(), strict=True):
                queue = _number(chunk.data(row), queues)
                if by_process.setdefault(process, queue) != queue:
                    by_process[process] = UNKNOWN
        self._processes = np.array(sorted(by_process), dtype=np.int64)
        self._queues = np.array([by_process[key] for key in sorted(by_process)], dtype=np.int64)

    def of(self, processes: Ints) -> Ints:
        """Return the queue of each of some processes, or UNKNOWN."""
        if self._only_one:
            return np.zeros(len(processes), dtype=np.int64)
        if not len(self._processes):
            return np.full(len(processes), UNKNOWN, dtype=np.int64)
        places = np.searchsorted(self._processes, processes)
        places = np.minimum(places, len(self._processes) - 1)
        found = self._processes[places] == processes
        queues: Ints = np.where(found, self._queues[places], UNKNOWN)
        return queues


def _number(data: object, queues: int) -> int:
    number = data.get(QUEUE) if isinstance(data, dict) else None
    return number if type(number) is int and 0 <= number < queues else UNKNOWN
