"""Latencies of a report: quantiles in each time bin, and few points that look like all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from jepsenvm.checkers.op_pairs import OpPairs, pairs
from jepsenvm.history.op import TYPES
from jepsenvm.history.table import TYPE_CODES, History, Ints
from jepsenvm.report.time_bins import TimeBins

PERCENTS: Final = (50, 95, 99, 100)
"""The quantiles. Each is a latency that occurred: the nearest rank, as in checker ``latency``."""

POINT_DECADES: Final = 14

_LATENCY_BITS: Final = 48
"""A latency is at most 2**48 ns, which is 78 hours."""


@dataclass(frozen=True)
class Resolution:
    """The grid of points over time and the logarithm of the latency in nanoseconds.

    A cell of the grid shows one of its ops, and how many it has.
    """

    columns: int
    rows_per_decade: int


REPORT: Final = Resolution(columns=200, rows_per_decade=8)


@dataclass(frozen=True)
class Points:
    """Ops that stand for all ops of one type, in the order of their invocation."""

    invoked: Ints
    latency: Ints
    """Nanoseconds."""
    count: Ints
    """How many ops each point stands for, itself included."""


@dataclass(frozen=True)
class Latencies:
    """The latencies of one f."""

    quantiles: Mapping[int, Sequence[float | None]]
    """Nanoseconds by percent, one for each bin of invocation; None in a bin without an ok op."""
    points: Mapping[str, Points]
    """By the type of the completion."""


def latencies(
    history: History, fs: Sequence[str], bins: TimeBins, resolution: Resolution = REPORT
) -> dict[str, Latencies]:
    """Return the latencies of each of these names that has any; none if they all are 0.

    A history without times, and an op that is recorded in one moment, have no latency.
    ``resolution`` is that of the points.
    """
    keys: dict[str, list[Ints]] = {}
    grids: dict[tuple[str, str], _Grid] = {}
    for ops in pairs(history, fs):
        for f, type_, invoked, latency in _by_f_and_type(history, ops):
            if type_ == "ok":
                keys.setdefault(f, []).append(bins.of(invoked) << _LATENCY_BITS | latency)
            grid = grids.setdefault((f, type_), _Grid(bins, resolution))
            grid.add(invoked, latency)
    return {
        f: Latencies(
            _quantiles(np.concatenate(keys[f]), bins),
            {type_: grids[f, type_].points() for type_ in TYPES if (f, type_) in grids},
        )
        for f in fs
        if f in keys and any((part & _MASK).any() for part in keys[f])
    }


_MASK: Final = (1 << _LATENCY_BITS) - 1


def _by_f_and_type(history: History, ops: OpPairs) -> Iterator[tuple[str, str, Ints, Ints]]:
    for f in np.unique(ops.f).tolist():
        for type_, code in TYPE_CODES.items():
            rows = (ops.f == f) & (ops.type == code)
            if rows.any():
                latency = np.clip(ops.completed[rows] - ops.invoked[rows], 0, _MASK)
                yield history.names[f], type_, ops.invoked[rows], latency


def _quantiles(keys: Ints, bins: TimeBins) -> dict[int, list[float | None]]:
    """Return the quantiles of each bin.

    A key holds a bin in its high bits and a latency in the others. One sort of plain integers
    orders all latencies of all bins, which is the fastest exact way.
    """
    keys.sort()
    present, first, count = np.unique(keys >> _LATENCY_BITS, return_index=True, return_counts=True)
    quantiles: dict[int, list[float | None]] = {}
    for percent in PERCENTS:
        values: list[float | None] = [None] * bins.count
        ranked = keys[first + -(-count * percent // 100) - 1] & _MASK
        for bin_, value in zip(present.tolist(), ranked.tolist(), strict=True):
            values[bin_] = value
        quantiles[percent] = values
    return quantiles


class _Grid:
    """Keeps one op of each cell, and the number of ops there."""

    def __init__(self, bins: TimeBins, resolution: Resolution) -> None:
        self._resolution = resolution
        self._width = max(1, -(-bins.width * bins.count // resolution.columns))
        self._rows = resolution.rows_per_decade * POINT_DECADES
        size = resolution.columns * self._rows
        self._invoked, self._latency, self._count = np.zeros((3, size), dtype=np.int64)

    def add(self, invoked: Ints, latency: Ints) -> None:
        column = np.clip(invoked // self._width, 0, self._resolution.columns - 1)
        row = np.log10(np.maximum(latency, 1)) * self._resolution.rows_per_decade
        cell = column * self._rows + np.minimum(row.astype(np.int64), self._rows - 1)
        self._invoked[cell], self._latency[cell] = invoked, latency
        self._count += np.bincount(cell, minlength=len(self._count))

    def points(self) -> Points:
        cells = np.flatnonzero(self._count)
        cells = cells[np.argsort(self._invoked[cells], kind="stable")]
        return Points(self._invoked[cells], self._latency[cells], self._count[cells])
