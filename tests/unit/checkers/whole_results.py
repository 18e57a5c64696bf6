"""Whole results of checkers, for tests that state everything a checker says about a history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.verdict import Result
from jepsenvm.history.op import Op
from jepsenvm.history.table import Chunk, History, from_ops

WholeResult = tuple[str, list[str], dict[str, Any]]
"""The verdict, the reasons and the figures."""

COLUMNS: Final = (
    "time", "type", "process", "f", "value", "has_value", "offset", "node", "has_data",
)  # fmt: skip


def whole(
    checker: Callable[[History], Result], *parts: Iterable[Op], complete: bool = True
) -> WholeResult:
    """Return all that a checker says about a history, which must not depend on its chunks."""
    history = from_ops(chain.from_iterable(parts), complete=complete)
    results = [content(checker(history))]
    results += [content(checker(in_chunks(history, rows))) for rows in (1, 3)]
    assert results[1:] == results[:1] * 2
    return results[0]


def whole_of_journal(
    checker: Callable[[History], Result], *parts: Iterable[Op], complete: bool = True
) -> WholeResult:
    """Return the same for a history of jepsenvm, whose values are integers without labels."""
    foreign = from_ops(chain.from_iterable(parts), complete=complete)
    history = own(foreign)
    results = [content(checker(history)), content(checker(in_chunks(history, 2)))]
    assert results[1] == results[0]
    return results[0]


def content(result: Result) -> WholeResult:
    """Return a result as plain values."""
    return str(result.verdict), list(result.reasons), dict(result.figures)


def in_chunks(history: History, rows: int) -> History:
    """Return the history in chunks of this many rows."""

    def chunks(_: History) -> Iterator[Chunk]:
        for chunk in history:
            yield from _parts(chunk, rows)

    return replace(history, _chunks=chunks)


def _parts(chunk: Chunk, rows: int) -> Iterator[Chunk]:
    columns = {name: getattr(chunk, name) for name in COLUMNS}
    columns |= {name: chunk.read(name) for name in ("error", "data")}
    for begin in range(0, len(chunk.time), rows):
        part = {name: column[begin : begin + rows] for name, column in columns.items()}
        yield Chunk(
            read=part.__getitem__, data=part["data"].__getitem__, error=part["error"].__getitem__
        )


def own(foreign: History) -> History:
    """Return a foreign history of integers as jepsenvm records it: without labels."""
    labels = foreign.labels or []
    has_value = np.array([label is not None for label in labels], dtype=bool)
    numbers = np.array([-1 if label is None else label for label in labels], dtype=np.int64)

    def chunks(_: History) -> Iterator[Chunk]:
        for chunk in foreign:
            yield chunk.with_columns(
                value=numbers[chunk.value],
                has_value=has_value[chunk.value],
            )

    return replace(foreign, _chunks=chunks, labels=None)
