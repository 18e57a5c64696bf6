"""Latencies of the ops that a journal has just recorded, by node.

They are read from the batches that the journal writes anyway. So they cost the clients nothing, and
numpy a fraction of a microsecond per op.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jepsenvm.history.op import TYPES
from jepsenvm.history.table import Ints
from jepsenvm.history.units import SECOND

_BINS_PER_DECADE: Final = 20
_EDGES: Final = np.logspace(-5, 3, 8 * _BINS_PER_DECADE + 1) * SECOND
"""The upper edges of the bins in nanoseconds, from 10 µs to 1000 s. Each is 12% above the last."""

_INVOKE, _OK = TYPES.index("invoke"), TYPES.index("ok")

Latencies = Mapping[int, int]
"""Counts of ok ops by the bin of their latency."""


def quantile(latencies: Latencies, share: float) -> float | None:
    """Return the latency in seconds that this share of the ops did not exceed; None without ops.

    It is the upper edge of a bin, so at most 12% too high.
    """
    target = share * sum(latencies.values())
    passed = 0
    for index in sorted(latencies):
        passed += latencies[index]
        if passed >= target:
            return float(_EDGES[min(index, len(_EDGES) - 1)]) / SECOND
    return None


class RecentLatencies:
    """Collects the latencies of the ok ops of some names.

    One thread may add batches while another takes the latencies.
    """

    def __init__(self, operations: Collection[str]) -> None:
        self._operations = operations
        self._batches: deque[pa.RecordBatch] = deque()
        self._open = np.empty((2, 0), dtype=np.int64)
        """The processes and times of invokes whose completions have not come yet."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Add a batch of a journal; it is read by the next ``take``."""
        self._batches.append(batch)

    def take(self) -> dict[str, Latencies]:
        """Return the latencies of ops that became ok since the last call, by node."""
        taken: dict[str, Counter[int]] = {}
        # Another thread may add a batch meanwhile.
        for _ in range(len(self._batches)):
            for node, latencies in self._of_batch(self._batches.popleft()):
                taken.setdefault(node, Counter()).update(latencies)
        return dict(taken)

    def _of_batch(self, batch: pa.RecordBatch) -> Iterable[tuple[str, Latencies]]:
        wanted = pc.is_in(_names(batch, "f"), pa.array(self._codes(batch), pa.int32()))
        rows = batch.filter(wanted)
        types = _ints(rows.column("type"))
        nodes = _ints(_names(rows, "node").fill_null(-1))
        opened = self._open
        # The open invokes of earlier batches stand before the rows of this one.
        processes = np.concatenate([opened[0], _ints(rows.column("process"))])
        times = np.concatenate([opened[1], _ints(rows.column("time"))])
        before = np.full(opened.shape[1], _INVOKE)
        types = np.concatenate([before, types])
        nodes = np.concatenate([np.full(opened.shape[1], -1), nodes])
        # A process has one op in flight, so its completion follows the invoke.
        order = np.argsort(processes, kind="stable")
        processes, times = processes[order], times[order]
        types, nodes = types[order], nodes[order]
        same = processes[1:] == processes[:-1]
        became_ok = same & (types[:-1] == _INVOKE) & (types[1:] == _OK) & (nodes[1:] >= 0)
        is_last = np.append(~same, True)[: len(processes)]
        still_open = is_last & (types == _INVOKE)
        self._open = np.stack([processes[still_open], times[still_open]])
        latencies = (times[1:] - times[:-1])[became_ok]
        return _by_node(nodes[1:][became_ok], latencies, _dictionary(rows, "node"))

    def _codes(self, batch: pa.RecordBatch) -> list[int]:
        return [
            code for code, name in enumerate(_dictionary(batch, "f")) if name in self._operations
        ]


def _by_node(nodes: Ints, latencies: Ints, names: Sequence[str]) -> Iterable[tuple[str, Latencies]]:
    bins = np.searchsorted(_EDGES, latencies)
    for code in np.unique(nodes).tolist():
        found, counts = np.unique(bins[nodes == code], return_counts=True)
        yield names[code], dict(zip(found.tolist(), counts.tolist(), strict=True))


def _names(batch: pa.RecordBatch, column: str) -> pa.Array:
    return batch.column(column).indices


def _dictionary(batch: pa.RecordBatch, column: str) -> list[str]:
    names: list[str] = batch.column(column).dictionary.to_pylist()
    return names


def _ints(array: pa.Array) -> Ints:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.int64)
