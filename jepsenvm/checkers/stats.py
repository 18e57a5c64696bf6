"""stats: how many ops of each f ended how, in all and on each node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.op import NEMESIS, TYPES
from jepsenvm.history.table import History


def stats(history: History) -> Result:
    """Count ok, fail and info of each f, by node; it judges nothing and is always valid."""
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(TYPES, 0))
    for chunk in history:
        ours = chunk.process != NEMESIS
        keys = np.stack([chunk.f[ours], chunk.node[ours], chunk.type[ours]])
        for (f, node, type_), count in _tally(keys):
            name = history.nodes[node] if node >= 0 else "-"
            counts[history.names[f], name][TYPES[type_]] += count
    by_f: dict[str, dict[str, dict[str, int]]] = defaultdict(dict)
    for (name, node_name), tally in sorted(counts.items()):
        by_f[name][node_name] = tally
    return Result(Verdict.VALID, (), {"by-f": dict(by_f)})


def _tally(keys: npt.NDArray[np.int64]) -> Iterator[tuple[list[int], int]]:
    """Yield each different column with how often it stands there; one number a column, since rows sort slowly."""
    code = (keys[0] << 40) | ((keys[1] + 1) << 8) | keys[2]
    for packed, count in zip(*np.unique(code, return_counts=True), strict=True):
        yield (
            [int(packed) >> 40, ((int(packed) >> 8) & 0xFFFFFFFF) - 1, int(packed) & 0xFF],
            int(count),
        )
