"""Merge the ops of processes that recorded at the same time into one order, by their times.

Nothing is read before it is used: a merged chunk reads a column from the chunks below it when a
checker asks for that column.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import Any, Final

import numpy as np

from jepsenvm.history.table import Chunk, Ints

_LISTS: Final = ("error", "data")
"""The columns that a chunk reads as lists."""


def merged(parts: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
    """Yield the rows of all parts in the order of their times, chunk by chunk.

    Each part is in the order of its times, and keeps that order. Rows with the same time are in the
    order of the parts. At most one chunk of each part is in use at a time.
    """
    cursors = [_Cursor(iter(part)) for part in parts]
    while live := [cursor for cursor in cursors if not cursor.ended]:
        if len(live) == 1:
            yield from live[0].rest()
            return
        # Of all rows up to the earliest end of a chunk, every one is known.
        ends = [cursor.last_time for cursor in live]
        earliest = ends.index(min(ends))
        bound = ends[earliest]
        yield _joined(
            [
                *chain.from_iterable(
                    cursor.take_until(bound, including=True) for cursor in live[:earliest]
                ),
                *live[earliest].take_all(),
                *chain.from_iterable(
                    cursor.take_until(bound, including=False) for cursor in live[earliest + 1 :]
                ),
            ]
        )


class _Source:
    """A chunk of one part, with its columns kept: several merged chunks may need them."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self._lists: dict[str, Any] = {}

    def column(self, name: str) -> Any:
        if name not in _LISTS:
            return getattr(self.chunk, name)
        if name not in self._lists:
            self._lists[name] = self.chunk.read(name)
        return self._lists[name]


class _Piece:
    """Consecutive rows of one chunk."""

    def __init__(self, source: _Source, begin: int, end: int) -> None:
        self._source = source
        self._begin, self._end = begin, end

    def __len__(self) -> int:
        return self._end - self._begin

    def read(self, name: str) -> Any:
        return self._source.column(name)[self._begin : self._end]

    def data(self, row: int) -> Any:
        return self._source.chunk.data(self._begin + row)

    def error(self, row: int) -> str | None:
        return self._source.chunk.error(self._begin + row)

    def as_chunk(self) -> Chunk:
        chunk = self._source.chunk
        if len(self) == len(chunk.time):
            return chunk
        return Chunk(read=self.read, data=self.data, error=self.error)


class _Cursor:
    """A position in one part."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        # A chunk without rows would have no last time.
        self._sources = (_Source(chunk) for chunk in chunks if len(chunk.time))
        self._source = next(self._sources, None)
        self._begin = 0

    @property
    def ended(self) -> bool:
        """Whether all rows were taken."""
        return self._source is None

    @property
    def last_time(self) -> int:
        """The time of the last row of the chunk in use."""
        return int(self._times[-1])

    @property
    def _times(self) -> Ints:
        return np.empty(0, dtype=np.int64) if self._source is None else self._source.chunk.time

    def take_until(self, time: int, *, including: bool) -> list[_Piece]:
        """Return the rows before a time, or up to it; the next rows come after them."""
        end = int(np.searchsorted(self._times, time, side="right" if including else "left"))
        return self._take(max(end, self._begin))

    def take_all(self) -> list[_Piece]:
        """Return the other rows of the chunk in use."""
        return self._take(len(self._times))

    def rest(self) -> Iterator[Chunk]:
        """Yield all rows that were not taken."""
        while not self.ended:
            yield from (piece.as_chunk() for piece in self.take_all())

    def _take(self, end: int) -> list[_Piece]:
        """Return the rows to a place of the chunk in use, as one piece or none."""
        if self._source is None or end == self._begin:
            return []
        piece = _Piece(self._source, self._begin, end)
        self._begin = end
        if end == len(self._times):
            self._source, self._begin = next(self._sources, None), 0
        return [piece]


def _joined(pieces: Sequence[_Piece]) -> Chunk:
    if len(pieces) == 1:
        return pieces[0].as_chunk()
    times = np.concatenate([piece.read("time") for piece in pieces])
    # A stable sort keeps the order of the parts, and that within each part.
    order = np.argsort(times, kind="stable")
    ends = list(accumulate(map(len, pieces)))

    def read(name: str) -> Any:
        columns = [piece.read(name) for piece in pieces]
        if name in _LISTS:
            values = list(chain.from_iterable(columns))
            return [values[row] for row in order.tolist()]
        return np.concatenate(columns)[order]

    def at(row: int) -> tuple[_Piece, int]:
        place = int(order[row])
        number = bisect_right(ends, place)
        return pieces[number], place - ends[number] + len(pieces[number])

    def data(row: int) -> Any:
        piece, place = at(row)
        return piece.data(place)

    def error(row: int) -> str | None:
        piece, place = at(row)
        return piece.error(place)

    return Chunk(read=read, data=data, error=error)
