"""Calls: what a process asked for and what it was answered, an invocation and its completion as one interval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from jepsenvm.history.op import NEMESIS, TYPES, Type
from jepsenvm.history.table import Chunk, History
from jepsenvm.history.units import SECOND


@dataclass(frozen=True, slots=True)
class Call:
    """One op from its invocation to its completion; ``invoked`` and ``returned`` are rows of the history.

    An op in doubt (info, or never completed) has type info and returns never: it may take effect at any time after its
    invocation, or not at all. Times are in nanoseconds since the run began.
    """

    process: int
    f: str
    type: Type
    asked: Any
    """The value that it was invoked with."""
    answered: Any
    """The value that it was ok with."""
    invoked: int
    returned: int | None
    began: int
    ended: int | None
    node: str | None = None

    @property
    def who(self) -> str:
        """The process as people name it, such as ``process 3 on n1``."""
        return f"process {self.process}" + (f" on {self.node}" if self.node else "")

    @property
    def span(self) -> str:
        """When it was, such as ``from 12.3 s to 12.4 s``."""
        if self.ended is None:
            return f"invoked at {seconds(self.began)}, in doubt"
        return f"from {seconds(self.began)} to {seconds(self.ended)}"

    def as_data(self) -> dict[str, Any]:
        """Return the call JSON-able, its times in seconds; ``to`` is None when it returned never."""
        return {
            "process": self.process,
            "node": self.node,
            "f": self.f,
            "type": self.type,
            "value": self.asked if self.answered is None else self.answered,
            "from": round(self.began / SECOND, 6),
            "to": None if self.ended is None else round(self.ended / SECOND, 6),
        }


def seconds(time: int) -> str:
    """Return a time in nanoseconds as people read it, such as ``12.345 s``."""
    return f"{time / SECOND:.3f} s"


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    type: Type
    f: str
    process: int
    value: Any
    time: int
    node: str | None


def calls(history: History, *fs: str) -> tuple[list[Call], list[Call]]:
    """Return the clients' calls of these f by invocation, and apart the completions that nobody had invoked.

    A process that goes on after an op in doubt leaves that op open. A failed op without an invocation is nothing.
    """
    found: list[Call] = []
    orphans: list[Call] = []
    waiting: dict[int, _Row] = {}
    for row in _rows(history, fs):
        if row.type == "invoke":
            if row.process in waiting:
                found.append(_in_doubt(waiting[row.process]))
            waiting[row.process] = row
            continue
        asked = waiting.get(row.process)
        if asked is None or asked.f != row.f:
            if row.type != "fail":
                orphans.append(_call(row, row))
            continue
        found.append(_in_doubt(asked) if row.type == "info" else _call(asked, row))
        del waiting[row.process]
    found.extend(_in_doubt(row) for row in waiting.values())
    return sorted(found, key=lambda call: call.invoked), orphans


def unexplained(orphans: list[Call]) -> str:
    """Return in one sentence why a history with such completions cannot be judged."""
    first = orphans[0]
    return (
        f"{len(orphans):,} completions have no invocation, such as the {first.f} of {first.who} at "
        f"{seconds(first.began)}: when they began is not known"
    )


def _call(asked: _Row, answer: _Row) -> Call:
    return Call(
        process=asked.process,
        f=asked.f,
        type=answer.type,
        asked=asked.value,
        answered=answer.value if answer.type == "ok" else None,
        invoked=asked.number,
        returned=answer.number,
        began=asked.time,
        ended=answer.time,
        node=asked.node if asked.node is not None else answer.node,
    )


def _in_doubt(asked: _Row) -> Call:
    return Call(
        asked.process,
        asked.f,
        "info",
        asked.value,
        None,
        asked.number,
        None,
        asked.time,
        None,
        asked.node,
    )


def _rows(history: History, fs: tuple[str, ...]) -> Iterator[_Row]:
    before = 0
    for chunk in history:
        yield from _chunk_rows(history, chunk, fs, before)
        before += len(chunk.type)


def _chunk_rows(history: History, chunk: Chunk, fs: tuple[str, ...], before: int) -> Iterator[_Row]:
    codes = [code for code, name in enumerate(history.names) if name in fs]
    rows = np.flatnonzero(np.isin(chunk.f, codes) & (chunk.process != NEMESIS))
    # Lists first: taking numpy's numbers out one by one costs more than all the rest.
    columns = (
        chunk.type,
        chunk.f,
        chunk.process,
        chunk.value,
        chunk.has_value,
        chunk.time,
        chunk.node,
    )
    lists = (column[rows].tolist() for column in columns)
    for row, type_, f, process, value, has_value, time, node in zip(
        rows.tolist(), *lists, strict=True
    ):
        yield _Row(
            before + row,
            TYPES[type_],
            history.names[f],
            process,
            history.label(value) if has_value else None,
            time,
            history.nodes[node] if node >= 0 else None,
        )
