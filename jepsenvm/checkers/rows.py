"""Rows: the ops of one type and f, in columns, for checkers that need more of them than their values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jepsenvm.history.op import Type
from jepsenvm.history.table import History, Ints, Mask


@dataclass(frozen=True)
class Rows:
    """Some rows of a history in the order of recording; all arrays have one length."""

    row: Ints
    """Where in the history each stands."""
    time: Ints
    process: Ints
    node: Ints
    value: Ints
    offset: Ints

    def __len__(self) -> int:
        return len(self.row)

    def only(self, wanted: Mask) -> Rows:
        """Return some of these rows."""
        return Rows(
            self.row[wanted],
            self.time[wanted],
            self.process[wanted],
            self.node[wanted],
            self.value[wanted],
            self.offset[wanted],
        )


def rows(history: History, type: Type, f: str, *, with_value: bool = True) -> Rows:
    """Return the ops of this type and f, by default only those with a value."""
    parts: list[tuple[Ints, ...]] = [(np.empty(0, dtype=np.int64),) * 6]
    before = 0
    for chunk in history:
        wanted = history.mask(chunk, type, f)
        at = np.flatnonzero(wanted & chunk.has_value if with_value else wanted)
        columns = (chunk.time, chunk.process, chunk.node, chunk.value, chunk.offset)
        parts.append((at + before, *(column[at] for column in columns)))
        before += len(chunk.time)
    return Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def marked(history: History, type: Type, f: str, key: str) -> Mask:
    """Return which of ``rows(history, type, f)`` have ``data`` in which this key is true."""
    parts = [np.empty(0, dtype=bool)]
    for chunk in history:
        wanted = history.mask(chunk, type, f) & chunk.has_value
        found = np.zeros(len(wanted), dtype=bool)
        for row in np.flatnonzero(wanted & chunk.has_data):
            data = chunk.data(int(row))
            found[row] = isinstance(data, dict) and bool(data.get(key))
        parts.append(found[wanted])
    return np.concatenate(parts)
