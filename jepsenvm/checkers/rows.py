"""Rows: the ops of one type and f, in columns, for checkers that need more of them than their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jepsenvm.history.op import Type
from jepsenvm.history.table import TYPE_CODES, Chunk, History, Ints, Mask


@dataclass(frozen=True)
class Rows:
    """Some rows of a history in the order of recording; all arrays have one length."""

    row: Ints
    """Where in the history each stands."""
    type: Ints
    """Codes, as of ``TYPE_CODES``."""
    time: Ints
    process: Ints
    node: Ints
    value: Ints
    offset: Ints

    def __len__(self) -> int:
        return len(self.row)

    def of_type(self, type: Type) -> Rows:
        """Return those of this type."""
        return self.only(self.type == TYPE_CODES[type])

    def only(self, wanted: Mask) -> Rows:
        """Return some of these rows."""
        return Rows(
            self.row[wanted],
            self.type[wanted],
            self.time[wanted],
            self.process[wanted],
            self.node[wanted],
            self.value[wanted],
            self.offset[wanted],
        )


def rows(history: History, type: Type, f: str) -> Rows:
    """Return the ops of this type and f that have a value."""
    return _gathered(history, lambda chunk: history.mask(chunk, type, f) & chunk.has_value)


def all_rows(history: History, f: str) -> Rows:
    """Return the ops of this f, of all types and with or without a value."""
    return _gathered(history, lambda chunk: chunk.f == _code(history, f))


def _code(history: History, f: str) -> int:
    return history.names.index(f) if f in history.names else -1


def _gathered(history: History, wanted: Callable[[Chunk], Mask]) -> Rows:
    parts: list[tuple[Ints, ...]] = [(np.empty(0, dtype=np.int64),) * 7]
    before = 0
    for chunk in history:
        at = np.flatnonzero(wanted(chunk))
        columns = (chunk.type, chunk.time, chunk.process, chunk.node, chunk.value, chunk.offset)
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


def processes(history: History, f: str) -> Ints:
    """Return the processes that have any op of this f, ascending."""
    found = np.empty(0, dtype=np.int64)
    for chunk in history:
        found = distinct(np.concatenate([found, chunk.process[chunk.f == _code(history, f)]]))
    return found


def distinct(values: Ints) -> Ints:
    """Return the different values, ascending: ``np.unique``, which hashes in numpy 2.3 and is slow for millions."""
    ascending = np.sort(values)
    found: Ints = ascending[np.diff(ascending, prepend=ascending[:1] - 1) != 0]
    return found


def without(values: Ints, others: Ints) -> Ints:
    """Return the different values that are not among the others, ascending."""
    return distinct(values[~np.isin(values, others)])
