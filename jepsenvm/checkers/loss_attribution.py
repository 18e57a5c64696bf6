"""Loss attribution: which nodes confirmed the lost messages, when, and during which faults."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from jepsenvm.checkers.fault_intervals import NEVER, FaultInterval, fault_intervals, sides
from jepsenvm.checkers.own_restarts import restarted_by_recovery
from jepsenvm.checkers.vanished_queue import vanished_queues
from jepsenvm.checkers.wording import listed
from jepsenvm.history.table import History, Ints, Mask
from jepsenvm.history.units import SECOND


def attribute(history: History, values: Ints, *, one_queue: bool = True) -> str | None:
    """Return a clause that says where values were confirmed, and what may explain the loss.

    Explanations are a queue that no longer exists, and nodes that jepsenvm restarted. None if
    nothing is known. With several queues (``one_queue`` is False), it names no leader and no queue.
    """
    clauses = [_attribute(history, values, one_queue=one_queue)]
    if len(values):
        clauses += _explanations(history, one_queue=one_queue)
    return "; ".join(filter(None, clauses)) or None


def _explanations(history: History, *, one_queue: bool) -> Iterator[str]:
    gone = vanished_queues(history)
    if gone and one_queue:
        yield f"no node knows {listed(gone)} any more"
    if restarted := restarted_by_recovery(history):
        yield f"found after jepsenvm restarted {listed(restarted)}"


def _attribute(history: History, values: Ints, *, one_queue: bool) -> str | None:
    """Return a clause that says which nodes confirmed these values, when, and during which faults.

    If a fault isolated nodes and all of its values were confirmed on one side, the side is named,
    and the queue's leader if a broker reported it. Returns None without any value, confirmation or
    node name.
    """
    if not len(values) or not any(len(chunk.node) and chunk.node.max() >= 0 for chunk in history):
        return None
    times, nodes = _confirmations(history, values)
    if not len(times):
        return None
    intervals = fault_intervals(history)
    if not one_queue:
        # The nemesis recorded the leader of one of the queues.
        intervals = [replace(interval, leader=None) for interval in intervals]
    names = listed(history.nodes[code] for code in np.unique(nodes) if code >= 0)
    span = f"between {times.min() / SECOND:.1f} s and {times.max() / SECOND:.1f} s"
    return (
        f"confirmed by {names or 'unnamed nodes'} {span}, "
        f"{'; '.join(_counts_by_fault(intervals, history.nodes, times, nodes))}"
    )


def _confirmations(history: History, values: Ints) -> tuple[Ints, Ints]:
    times, nodes = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    ascending = np.sort(values)
    for chunk in history:
        rows = np.flatnonzero(history.mask(chunk, "ok", "enqueue"))
        if not len(rows):
            continue
        confirmed = chunk.narrow("value")[rows]
        # Few of the values are in the range of a chunk, and comparing with few values is fast.
        first = np.searchsorted(ascending, confirmed.min())
        end = np.searchsorted(ascending, confirmed.max(), side="right")
        rows = rows[np.isin(confirmed, ascending[first:end].astype(confirmed.dtype))]
        times.append(chunk.time[rows])
        nodes.append(chunk.narrow("node")[rows])
    return np.concatenate(times), np.concatenate(nodes)


def _counts_by_fault(
    intervals: Sequence[FaultInterval], node_names: Sequence[str], times: Ints, nodes: Ints
) -> Iterator[str]:
    """Yield how many of these times are during a fault, after its healing, or before any fault.

    The time after a healing belongs to the fault too: a broker may drop messages when a partition
    ends, for example when it discards one side of a split.
    """
    if not intervals:
        yield f"{len(times):,} without any fault"
        return
    inside = {interval.number: _during(times, interval) for interval in intervals}
    outside = ~np.any(list(inside.values()), axis=0)
    for interval in intervals:
        rows = inside[interval.number]
        if count := int(rows.sum()):
            codes = [int(code) for code in np.unique(nodes[rows])]
            details = _circumstances(interval, node_names, codes)
            yield ", ".join([f"{count:,} during {interval.title}", *details])
        later_faults = [other.injected for other in intervals if other.injected > interval.injected]
        next_fault = min(later_faults, default=NEVER)
        after = outside & (times >= interval.injected) & (times < next_fault)
        if count := int(after.sum()):
            yield f"{count:,} after fault {interval.number} was healed"
    first_fault = min(interval.injected for interval in intervals)
    if count := int((times < first_fault).sum()):
        yield f"{count:,} before any fault"


def _during(times: Ints, interval: FaultInterval) -> Mask:
    """Return which times are between the injection of a fault and its observed healing.

    This is wider than ``in_force``: a loss while a fault begins or ends is a loss because of it.
    """
    end = NEVER if interval.healed is None else interval.healed
    inside: Mask = (times >= interval.injected) & (times < end)
    return inside


def _circumstances(
    interval: FaultInterval, nodes: Sequence[str], codes: Sequence[int]
) -> Iterator[str]:
    """Yield the side that has all of these nodes, if one has, and the queue's leader, if known."""
    confirming = {nodes[code] if code >= 0 else "" for code in codes}
    groups = sides(interval, nodes) if interval.isolates_nodes else []
    # A single group means that the cluster is still connected, so there are no sides to name.
    side: tuple[str, ...] = ()
    if len(groups) > 1:
        side = next((group for group in groups if confirming <= set(group)), ())
    if side:
        yield _side_name(side, groups)
    if interval.leader:
        elsewhere = " on another side" if side and interval.leader not in side else ""
        yield f"led by {interval.leader}{elsewhere}"


def _side_name(side: Sequence[str], groups: Sequence[Sequence[str]]) -> str:
    other_nodes = sum(map(len, groups)) - len(side)
    if len(side) > other_nodes:
        return "majority side"
    if len(groups) == 2 and len(side) < other_nodes:
        return "minority side"
    return f"side of {' '.join(side)}"
