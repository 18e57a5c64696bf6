"""Message marks: where lost and undecided messages were confirmed, grouped by node and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.fault_intervals import NEVER, FaultInterval
from jepsenvm.history.table import History, Ints
from jepsenvm.report.message_times import MessageTimes
from jepsenvm.report.op_counts import NO_NODE
from jepsenvm.report.time_bins import TimeBins

KINDS: Final = ("lost", "undecided")
"""The kinds of missing messages, as the checkers' figures name them."""

EXAMPLES: Final = 5
"""A mark names at most this many values."""


@dataclass(frozen=True)
class Mark:
    """Messages of one kind that one node confirmed in one bin."""

    kind: str
    node: str
    first: int
    last: int
    """When the first and the last of them was confirmed, in nanoseconds since the run began."""
    count: int
    examples: Sequence[Any]


@dataclass(frozen=True)
class Missing:
    """The messages of one kind, with as many as are known one by one."""

    kind: str
    count: int
    """How many there are, by the checker."""
    values: Ints
    """Those whose confirmation is known. They can be fewer."""


def missing_messages(
    history: History, figures: Mapping[str, Any], times: MessageTimes
) -> list[Missing]:
    """Return the lost and the undecided messages that the main checker found.

    A checker lists at most 1,000 of them. If the messages that never came back are as many as the
    checker counted, they are the same messages, and all are known.
    """
    found = []
    for kind in KINDS:
        count = figures.get(f"{kind}-count", 0)
        if not isinstance(count, int) or not count:
            continue
        never_back = times.missing()
        values = never_back if len(never_back) == count else _listed(history, figures.get(kind))
        values = values[(values >= 0) & (values < len(times.confirmed))]
        found.append(Missing(kind, count, values[times.confirmed[values] != NEVER]))
    return found


def _listed(history: History, values: Any) -> Ints:
    """Return the codes of the values that a checker lists."""
    listed = values if isinstance(values, list) else []
    if history.labels is None:
        return np.array([value for value in listed if type(value) is int], dtype=np.int64)
    texts = {repr(value) for value in listed}
    codes = [code for code, label in enumerate(history.labels) if repr(label) in texts]
    return np.array(codes, dtype=np.int64)


def marks(
    history: History, missing: Missing, times: MessageTimes, bins: TimeBins
) -> Iterator[Mark]:
    """Yield one mark for each node and bin in which missing messages were confirmed."""
    confirmed, nodes = times.confirmed[missing.values], times.node[missing.values]
    order = np.lexsort((confirmed, bins.of(confirmed), nodes))
    key = nodes[order].astype(np.int64) * bins.count + bins.of(confirmed)[order]
    starts = np.flatnonzero(np.diff(key, prepend=key[:1] - 1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(key)], strict=True):
        rows = order[start:end]
        node = int(nodes[rows[0]])
        yield Mark(
            kind=missing.kind,
            node=history.nodes[node] if node >= 0 else NO_NODE,
            first=int(confirmed[rows[0]]),
            last=int(confirmed[rows[-1]]),
            count=len(rows),
            examples=[history.label(code) for code in missing.values[rows[:EXAMPLES]].tolist()],
        )


def counts_by_fault(
    history: History,
    missing: Missing,
    times: MessageTimes,
    intervals: Sequence[FaultInterval],
) -> dict[str, Counter[str]]:
    """Return how many missing messages each node confirmed, by the fault at that moment.

    A message that was confirmed during several faults counts for each of them.
    """
    confirmed, nodes = times.confirmed[missing.values], times.node[missing.values]
    counts: dict[str, Counter[str]] = {}
    outside = np.ones(len(confirmed), dtype=bool)
    for interval in intervals:
        end = NEVER if interval.healed is None else interval.healed
        inside = (confirmed >= interval.injected) & (confirmed < end)
        outside &= ~inside
        _count(counts, f"fault {interval.number}", history, nodes[inside])
    _count(counts, "no fault", history, nodes[outside])
    return counts


def _count(counts: dict[str, Counter[str]], period: str, history: History, nodes: Any) -> None:
    for node, count in zip(*np.unique(nodes, return_counts=True), strict=True):
        name = history.nodes[node] if node >= 0 else NO_NODE
        counts.setdefault(period, Counter())[name] += int(count)
