"""Single active consumer: whether two consumers of such a queue were active at once.

A queue with ``x-single-active-consumer`` delivers to one consumer until that one is gone, and then
to the next one (https://www.rabbitmq.com/docs/consumers#single-active-consumer).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.fault_intervals import FaultInterval
from jepsenvm.checkers.op_columns import OpColumns
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.table import Ints, Mask
from jepsenvm.history.units import SECOND

NO_PROCESS: Final = NEMESIS - 1
"""A process number that no consumer has."""


@dataclass
class Overlap:
    """Two consumers that were active in turns without a cause."""

    consumers: tuple[int, int]
    """Their process numbers."""
    nodes: tuple[int, int]
    """The codes of their nodes."""
    first: int
    """The time of the first unexplained turn, in nanoseconds since the run began."""
    last: int
    """The time of the last one."""
    turns: int = 0

    def figures(self, names: list[str]) -> dict[str, Any]:
        """Return the overlap for results.json, with times in seconds; ``names`` are the nodes."""
        return {
            "consumers": list(self.consumers),
            "nodes": [names[code] if code >= 0 else None for code in self.nodes],
            "first": round(self.first / SECOND, 3),
            "last": round(self.last / SECOND, 3),
            "turns": self.turns,
        }


@dataclass
class _Activity:
    """Which consumer is active, and what is known about those that were replaced.

    An epoch is the time between two changes of the network: faults that begin or heal.
    """

    active: int | None = None
    replaced_in: dict[int, int] = field(default_factory=dict)
    """The epoch in which each replaced consumer was replaced."""
    stragglers: Counter[int] = field(default_factory=Counter)
    """Messages that each replaced consumer got since."""
    node: dict[int, int] = field(default_factory=dict)
    """The node code of each consumer."""
    turns: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    """How often two consumers changed places in one epoch: (consumer, consumer, epoch)."""

    def take_over(self, consumer: int, epoch: int) -> None:
        """Make another consumer the active one."""
        if self.active is not None:
            self.replaced_in[self.active] = epoch
            self.stragglers[self.active] = 0
        self.replaced_in.pop(consumer, None)
        self.active = consumer


def overlaps(
    deliveries: OpColumns, prefetch: int, faults: list[FaultInterval]
) -> tuple[list[Overlap], Mask]:
    """Return the consumers that were active at once, and which deliveries are stragglers.

    The history does not record which consumer is active, only who got a delivery when. The rules:

    1. A consumer is replaced when another one gets its first delivery.
    2. Up to ``prefetch`` messages may still have been in flight to the replaced one. They are
       stragglers. With one more delivery it is active again.
    3. Active again is legal if the network changed since it was replaced. The broker may have lost
       sight of its node, gone on to the next consumer, and come back when that one was lost; a
       quorum queue keeps a consumer while it suspects the consumer's node.
    4. Active again without a fault that began or healed since is an overlap.
    5. From the first fault on, only the second such turn of the same two consumers is an overlap:
       a new leader of the queue may reach other nodes than the one before, and so take a consumer
       back once without any further change.
    """
    epochs = _epochs(deliveries.time, faults)
    stragglers = np.zeros(len(deliveries), dtype=bool)
    overlap_by_pair: dict[tuple[int, int], Overlap] = {}
    activity = _Activity()
    # Consecutive deliveries to the same consumer are handled as one stretch.
    edges = np.flatnonzero(np.diff(deliveries.process, prepend=NO_PROCESS, append=NO_PROCESS))
    for begin, end in pairwise(edges.tolist()):
        consumer, takes_over = int(deliveries.process[begin]), begin
        if consumer == activity.active:
            continue
        if consumer in activity.replaced_in:
            takes_over += prefetch - activity.stragglers[consumer]
            activity.stragglers[consumer] = min(
                activity.stragglers[consumer] + end - begin, prefetch
            )
            stragglers[begin : min(takes_over, end)] = True
            if takes_over >= end:
                continue
            time, epoch = int(deliveries.time[takes_over]), int(epochs[takes_over])
            _judge_return(activity, consumer, time, epoch, overlap_by_pair)
        activity.node[consumer] = int(deliveries.node[takes_over])
        activity.take_over(consumer, int(epochs[takes_over]))
    return list(overlap_by_pair.values()), stragglers


def _judge_return(
    activity: _Activity,
    consumer: int,
    time: int,
    epoch: int,
    overlap_by_pair: dict[tuple[int, int], Overlap],
) -> None:
    """Add an overlap if a replaced consumer is active again without a cause."""
    if activity.active is None or activity.replaced_in[consumer] != epoch:
        return
    pair = (min(consumer, activity.active), max(consumer, activity.active))
    activity.turns[*pair, epoch] += 1
    allowed_turns = 0 if epoch == 0 else 1
    if activity.turns[*pair, epoch] > allowed_turns:
        nodes = (activity.node[pair[0]], activity.node[pair[1]])
        overlap = overlap_by_pair.setdefault(pair, Overlap(pair, nodes, time, time))
        overlap.last = time
        overlap.turns += 1


def _epochs(times: Ints, faults: list[FaultInterval]) -> Ints:
    """Return the epoch of each time: the number of changes of the network before it."""
    changes = [
        time
        for fault in faults
        for time in (fault.injected, fault.in_force, fault.heal_began, fault.healed)
        if time is not None
    ]
    epochs: Ints = np.searchsorted(np.sort(changes), times, side="right")
    return epochs
