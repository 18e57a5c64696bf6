"""single-active: whether two consumers of a queue with a single active one were active at once.

A queue with ``x-single-active-consumer`` delivers to one consumer until it is gone, then to the next
(https://www.rabbitmq.com/docs/consumers#single-active-consumer).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from jepsenvm.checkers.fault_intervals import FaultInterval
from jepsenvm.checkers.rows import Rows
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.table import Mask
from jepsenvm.history.units import SECOND


@dataclass
class Overlap:
    """Two consumers (process numbers, and node codes) that took turns without cause; times in nanoseconds."""

    consumers: tuple[int, int]
    nodes: tuple[int, int]
    first: int
    last: int
    turns: int = 0

    def figures(self, names: list[str]) -> dict[str, Any]:
        """Return the overlap as it stands in a result, in seconds."""
        return {
            "consumers": list(self.consumers),
            "nodes": [names[code] if code >= 0 else None for code in self.nodes],
            "first": round(self.first / SECOND, 3),
            "last": round(self.last / SECOND, 3),
            "turns": self.turns,
        }


@dataclass
class _Tenures:
    """Who is active, and of those who were: in which epoch each was replaced, and how much came to it since."""

    active: int | None = None
    replaced: dict[int, int] = field(default_factory=dict)
    late: Counter[int] = field(default_factory=Counter)
    node: dict[int, int] = field(default_factory=dict)
    turns: Counter[tuple[int, int, int]] = field(default_factory=Counter)

    def take_over(self, consumer: int, epoch: int) -> None:
        if self.active is not None:
            self.replaced[self.active] = epoch
            self.late[self.active] = 0
        self.replaced.pop(consumer, None)
        self.active = consumer


def overlaps(came: Rows, prefetch: int, faults: list[FaultInterval]) -> tuple[list[Overlap], Mask]:
    """Return who was active at once, and which deliveries are stragglers.

    A consumer is replaced when another gets its first delivery. Up to ``prefetch`` messages were then on their way to
    it and may still come: stragglers. One more, and it is active again. That is no fault when the broker lost sight of
    its node, went on to the next consumer, and came back when that one was lost: a quorum queue keeps a consumer whose
    node it suspects. Both take a change of the network. So active again with no fault begun or healed since it was
    replaced is an overlap; after the first fault only when the other one comes back in the same way, since a queue's
    new leader may see other nodes than the one before.
    """
    changes = np.sort([time for fault in faults for time in _changes(fault)])
    epochs = np.searchsorted(changes, came.time, side="right")
    stragglers = np.zeros(len(came), dtype=bool)
    found: dict[tuple[int, int], Overlap] = {}
    seen = _Tenures()
    edges = np.flatnonzero(
        np.diff(came.process, prepend=NEMESIS - 1, append=NEMESIS - 1)
    )  # no consumer
    for begin, end in pairwise(edges.tolist()):
        consumer, takes_over = int(came.process[begin]), begin
        if consumer == seen.active:
            continue
        if consumer in seen.replaced:
            takes_over += prefetch - seen.late[consumer]
            seen.late[consumer] = min(seen.late[consumer] + end - begin, prefetch)
            stragglers[begin : min(takes_over, end)] = True
            if takes_over >= end:
                continue
            _judge(seen, consumer, int(came.time[takes_over]), int(epochs[takes_over]), found)
        seen.node[consumer] = int(came.node[takes_over])
        seen.take_over(consumer, int(epochs[takes_over]))
    return list(found.values()), stragglers


def _judge(
    seen: _Tenures, consumer: int, time: int, epoch: int, found: dict[tuple[int, int], Overlap]
) -> None:
    if seen.active is None or seen.replaced[consumer] != epoch:
        return
    pair = (min(consumer, seen.active), max(consumer, seen.active))
    seen.turns[*pair, epoch] += 1
    if seen.turns[*pair, epoch] > (0 if epoch == 0 else 1):
        overlap = found.setdefault(
            pair, Overlap(pair, (seen.node[pair[0]], seen.node[pair[1]]), time, time)
        )
        overlap.last = time
        overlap.turns += 1


def _changes(fault: FaultInterval) -> list[int]:
    times = (fault.injected, fault.in_force, fault.heal_began, fault.healed)
    return [time for time in times if time is not None]
