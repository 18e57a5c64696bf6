"""Selected ops of a history in columns, for checkers that need more than their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from jepsenvm.history.op import Type
from jepsenvm.history.table import TYPE_CODES, Chunk, History, Ints, Mask


@dataclass(frozen=True)
class OpColumns:
    """Some ops of a history in the order of recording. All arrays have the same length."""

    row: Ints
    """The index of each op in the history."""
    type: Ints
    """Codes, as in ``TYPE_CODES``."""
    time: Ints
    process: Ints
    node: Ints
    value: Ints
    offset: Ints

    def __len__(self) -> int:
        return len(self.row)

    def of_type(self, type: Type) -> OpColumns:
        """Return the ops of this type."""
        return self.where(self.type == TYPE_CODES[type])

    def where(self, selected: Mask) -> OpColumns:
        """Return the ops for which the mask is true."""
        return OpColumns(*(getattr(self, field.name)[selected] for field in fields(self)))


def ops_with_value(history: History, type: Type, f: str) -> OpColumns:
    """Return the ops of this type and f that have a value."""

    def selected(chunk: Chunk) -> Mask:
        return history.mask(chunk, type, f) & chunk.has_value

    return _columns(history, selected)


def all_ops(history: History, f: str) -> OpColumns:
    """Return the ops of this f, of every type, with or without a value."""

    def selected(chunk: Chunk) -> Mask:
        of_f: Mask = chunk.narrow("f") == _code(history, f)
        return of_f

    return _columns(history, selected)


def _code(history: History, f: str) -> int:
    return history.names.index(f) if f in history.names else -1


def _columns(history: History, selected: Callable[[Chunk], Mask]) -> OpColumns:
    parts: list[tuple[Ints, ...]] = [(np.empty(0, dtype=np.int64),) * len(fields(OpColumns))]
    rows_before = 0
    for chunk in history:
        mask = selected(chunk)
        rows = np.flatnonzero(mask)
        if len(rows):  # the other columns are read only if they are needed
            columns = (chunk.type, chunk.time, chunk.process, chunk.node, chunk.value, chunk.offset)
            parts.append((rows + rows_before, *(column[rows] for column in columns)))
        rows_before += len(mask)
    return OpColumns(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def has_flag(history: History, type: Type, f: str, key: str) -> Mask:
    """Return whether each op of ``ops_with_value(history, type, f)`` has a true ``data[key]``."""
    parts = [np.empty(0, dtype=bool)]
    for chunk in history:
        selected = history.mask(chunk, type, f) & chunk.has_value
        parts.append(flagged(chunk, selected, key)[selected])
    return np.concatenate(parts)


def flagged(chunk: Chunk, rows: Mask, key: str) -> Mask:
    """Return which of some rows of a chunk have a true ``data[key]``."""
    flags = np.zeros(len(rows), dtype=bool)
    # Decoding data is slow, so it is done only for the rows that have any.
    for row in np.flatnonzero(rows & chunk.has_data):
        data = chunk.data(int(row))
        flags[row] = isinstance(data, dict) and data.get(key) is True
    return flags


def processes(history: History, f: str) -> Ints:
    """Return the processes that have an op of this f, ascending."""
    numbers = np.empty(0, dtype=np.int64)
    for chunk in history:
        of_f = chunk.process[chunk.f == _code(history, f)]
        numbers = distinct(np.concatenate([numbers, of_f]))
    return numbers


def distinct(values: Ints) -> Ints:
    """Return each different value once, ascending.

    ``np.unique`` returns the same, but since numpy 2.3 it hashes, which is slow for millions.
    """
    ascending = np.sort(values)
    first_of_each: Ints = ascending[np.diff(ascending, prepend=ascending[:1] - 1) != 0]
    return first_of_each


def difference(values: Ints, excluded: Ints) -> Ints:
    """Return each different value that is not among the excluded ones, ascending."""
    return distinct(values[~np.isin(values, excluded)])


def multiset_difference(values: Ints, removed: Ints) -> Ints:
    """Return the values as often as they occur more often than in ``removed``, ascending."""
    different, counts = np.unique(values, return_counts=True)
    removed_values, removed_counts = np.unique(removed, return_counts=True)
    _, at, removed_at = np.intersect1d(different, removed_values, return_indices=True)
    counts[at] -= np.minimum(counts[at], removed_counts[removed_at])
    return np.repeat(different, counts)


def multiset_union(values: Ints, others: Ints) -> Ints:
    """Return each value as often as in the multiset that has it more often, ascending."""
    return np.sort(np.concatenate([values, multiset_difference(others, values)]))
