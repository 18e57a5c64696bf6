"""stats: how many operations of each name were ok, failed, or are in doubt, on each node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.op import NEMESIS, TYPES
from jepsenvm.history.table import History


def stats(history: History) -> Result:
    """Count the clients' ops by f, node and type. It judges nothing and is always valid."""
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(TYPES, 0))
    for chunk in history:
        clients = chunk.process != NEMESIS
        codes = np.stack([chunk.f[clients], chunk.node[clients], chunk.type[clients]])
        for (f, node, type_), count in _column_counts(codes):
            node_name = history.nodes[node] if node >= 0 else "-"
            counts[history.names[f], node_name][TYPES[type_]] += count
    by_f: dict[str, dict[str, dict[str, int]]] = defaultdict(dict)
    for (f_name, node_name), by_type in sorted(counts.items()):
        by_f[f_name][node_name] = by_type
    return Result(Verdict.VALID, (), {"by-f": dict(by_f)})


def _column_counts(codes: npt.NDArray[np.int64]) -> Iterator[tuple[list[int], int]]:
    """Yield each different column (f, node, type) with the number of its occurrences.

    A column is packed into one integer, because numpy sorts integers much faster than rows.
    """
    packed = (codes[0] << 40) | ((codes[1] + 1) << 8) | codes[2]
    for number, count in zip(*np.unique(packed, return_counts=True), strict=True):
        f, node, type_ = (
            int(number) >> 40,
            ((int(number) >> 8) & 0xFFFFFFFF) - 1,
            int(number) & 0xFF,
        )
        yield [f, node, type_], int(count)
