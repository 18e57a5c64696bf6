"""Load under a fault: the operations that began while it was in force and were acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from jepsenvm.checkers.fault_intervals import NEVER, FaultInterval
from jepsenvm.checkers.op_columns import difference
from jepsenvm.checkers.op_pairs import pairs
from jepsenvm.history.table import TYPE_CODES, History, Ints, Mask

DEFAULT_ACKNOWLEDGEMENTS: Final = ("enqueue", "acquire")
"""The acknowledgements of a history whose workload is not known.

An acknowledgement is an operation whose ok is a promise of the broker: that it keeps a message, or
that it granted a lock. A workload names its own. A dequeue is not one: a broker can deliver what it
has without promising anything, so it does not show that a fault was tested.
"""


def acknowledged_ops(history: History, f_names: Sequence[str]) -> tuple[Ints, Ints]:
    """Return when the acknowledged operations of these names began, and the codes of their nodes.

    An operation counts if its invocation and its ok are recorded. Times are in nanoseconds since
    the run began; the arrays have the same length.
    """
    began, nodes = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for completed in pairs(history, f_names):
        ok = completed.type == TYPE_CODES["ok"]
        began.append(completed.invoked[ok])
        nodes.append(completed.node[ok])
    return np.concatenate(began), np.concatenate(nodes)


def acknowledged_between(
    history: History, f_names: Sequence[str], begin: int, end: int
) -> Iterator[tuple[str, Ints]]:
    """Yield the name and the values of the ops that were ok from ``begin`` until before ``end``.

    A value of 0 stands for an op without a value.
    """
    for chunk in history:
        inside = (chunk.time >= begin) & (chunk.time < end)
        for f in f_names:
            yield f, chunk.value[history.mask(chunk, "ok", f) & inside]


def was_acknowledged(history: History, f_names: Sequence[str], begin: int, end: int) -> bool:
    """Return whether an op of these names was ok from ``begin`` until before ``end``."""
    return any(len(values) for _, values in acknowledged_between(history, f_names, begin, end))


def left_at(history: History, f_names: Sequence[str], time: int) -> bool:
    """Return whether something that was acknowledged before a time still existed then.

    Messages exist until they are delivered, everything else for ever.
    """
    messages, delivered = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for f, values in acknowledged_between(history, (*f_names, "dequeue"), 0, time):
        if f == "dequeue":
            delivered.append(values)
        elif f == "enqueue":
            messages.append(values)
        elif len(values):
            return True
    return bool(len(difference(np.concatenate(messages), np.concatenate(delivered))))


def in_force(began: Ints, interval: FaultInterval) -> Mask:
    """Return which operations began between the last node's action and the start of the healing.

    Only the beginning counts. An operation that began before the fault may have been served before
    it, although its ok came later. The ok may come at any later time, even after the healing: the
    operation met the fault all the same.
    """
    if interval.in_force is None:
        return np.zeros(len(began), dtype=bool)
    ends = [time for time in (interval.heal_began, interval.healed) if time is not None]
    inside: Mask = (began >= interval.in_force) & (began < min(ends, default=NEVER))
    return inside
