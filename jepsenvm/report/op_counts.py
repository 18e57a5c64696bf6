"""Op counts: how many ops of each name, node and type completed in each time bin."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from jepsenvm.history.op import NEMESIS, TYPES
from jepsenvm.history.table import TYPE_CODES, History, Ints
from jepsenvm.report.time_bins import TimeBins

NO_NODE = "-"
"""Stands for the node of an op that names none."""


@dataclass(frozen=True)
class OpCounts:
    """The clients' completed ops by (f, node, type), counted in each bin."""

    bins: TimeBins
    counts: Mapping[tuple[str, str, str], Ints]

    def by_node(self, f: str, type_: str = "ok") -> dict[str, Ints]:
        """Return the counts of one name and type, by node in order."""
        return {
            node: counts
            for (name, node, kind), counts in sorted(self.counts.items())
            if (name, kind) == (f, type_)
        }

    def total(self, fs: Collection[str], type_: str, node: str | None = None) -> Ints:
        """Return the counts of these names and of one type, on one node or on all together."""
        total = np.zeros(self.bins.count, dtype=np.int64)
        for (name, of_node, kind), counts in self.counts.items():
            if name in fs and kind == type_ and node in (None, of_node):
                total = total + counts
        return total


def op_counts(history: History, bins: TimeBins) -> OpCounts:
    """Count the clients' completed ops in one pass."""
    table: dict[tuple[str, str, str], Ints] = {}
    for chunk in history:
        rows = (chunk.process != NEMESIS) & (chunk.type != TYPE_CODES["invoke"])
        if not rows.any():
            continue
        node_count = len(history.nodes) + 1  # one more for no node
        group = (chunk.f[rows] * node_count + chunk.node[rows] + 1) * len(TYPES) + chunk.type[rows]
        cells = group.astype(np.int64) * bins.count + bins.of(chunk.time[rows])
        size = len(history.names) * node_count * len(TYPES)
        by_group = np.bincount(cells, minlength=size * bins.count).reshape(size, bins.count)
        for code in np.flatnonzero(by_group.any(axis=1)).tolist():
            f_and_node, type_ = divmod(code, len(TYPES))
            f, node = divmod(f_and_node, node_count)
            name = history.nodes[node - 1] if node else NO_NODE
            key = (history.names[f], name, str(TYPES[type_]))
            table[key] = table.get(key, np.zeros(bins.count, dtype=np.int64)) + by_group[code]
    return OpCounts(bins, table)
