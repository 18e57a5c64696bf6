"""Calls of clients: an invocation and its completion, joined to one interval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jepsenvm.checkers.wording import counted, seconds
from jepsenvm.history.op import NEMESIS, TYPES, Type
from jepsenvm.history.table import Chunk, History
from jepsenvm.history.units import SECOND


class Call(NamedTuple):  # a tuple is made in a quarter of the time of a dataclass
    """One operation from its invocation to its completion.

    A call in doubt (info, or never completed) has the type info and never returns: it may take
    effect at any time after its invocation, or never.

    ``invoked`` and ``returned`` are rows of the history. ``began`` and ``ended`` are times in
    nanoseconds since the run began.
    """

    process: int
    f: str
    type: Type
    asked: Any
    """The value of the invocation."""
    answered: Any
    """The value of the completion if the call was ok, else None."""
    invoked: int
    returned: int | None
    began: int
    ended: int | None
    node: str | None = None
    data: Any = None
    """The data of the completion, if it is not in doubt."""

    @property
    def who(self) -> str:
        """The process for people, such as ``process 3 on n1``."""
        return f"process {self.process}" + (f" on {self.node}" if self.node else "")

    @property
    def span(self) -> str:
        """The time of the call for people, such as ``from 12.300 s to 12.400 s``."""
        if self.ended is None:
            return f"invoked at {seconds(self.began)}, in doubt"
        return f"from {seconds(self.began)} to {seconds(self.ended)}"

    def as_data(self) -> dict[str, Any]:
        """Return the call for results.json, times in seconds; ``to`` is None if it is in doubt."""
        return {
            "process": self.process,
            "node": self.node,
            "f": self.f,
            "type": self.type,
            "value": self.asked if self.answered is None else self.answered,
            "from": round(self.began / SECOND, 6),
            "to": None if self.ended is None else round(self.ended / SECOND, 6),
        }


class _Row(NamedTuple):
    number: int
    type: Type
    f: str
    process: int
    value: Any
    time: int
    node: str | None
    data: Any


def client_calls(history: History, *fs: str) -> tuple[list[Call], list[Call]]:
    """Return the clients' calls of these operations, and the completions without an invocation.

    The calls are in the order of invocation. If a process invokes its next op although the last
    one did not complete, the last one is in doubt. A fail without an invocation is ignored: it did
    not happen.
    """
    calls: list[Call] = []
    orphans: list[Call] = []
    open_invocations: dict[int, _Row] = {}
    for row in _rows(history, fs):
        if row.type == "invoke":
            if row.process in open_invocations:
                calls.append(_in_doubt(open_invocations[row.process]))
            open_invocations[row.process] = row
            continue
        invocation = open_invocations.get(row.process)
        if invocation is None or invocation.f != row.f:
            if row.type != "fail":
                orphans.append(_call(row, row))
            continue
        calls.append(_in_doubt(invocation) if row.type == "info" else _call(invocation, row))
        del open_invocations[row.process]
    calls.extend(_in_doubt(invocation) for invocation in open_invocations.values())
    return sorted(calls, key=lambda call: call.invoked), orphans


def orphans_reason(orphans: list[Call]) -> str:
    """Return the reason why a history with completions without an invocation cannot be judged."""
    first = orphans[0]
    return (
        f"{counted(len(orphans), 'completion has', 'completions have')} no invocation, so nobody "
        f"knows when the operation began; the first is the {first.f} of {first.who} at "
        f"{seconds(first.began)}"
    )


def _call(invocation: _Row, completion: _Row) -> Call:
    return Call(
        process=invocation.process,
        f=invocation.f,
        type=completion.type,
        asked=invocation.value,
        answered=completion.value if completion.type == "ok" else None,
        invoked=invocation.number,
        returned=completion.number,
        began=invocation.time,
        ended=completion.time,
        node=invocation.node if invocation.node is not None else completion.node,
        data=completion.data,
    )


def _in_doubt(invocation: _Row) -> Call:
    return Call(
        process=invocation.process,
        f=invocation.f,
        type="info",
        asked=invocation.value,
        answered=None,
        invoked=invocation.number,
        returned=None,
        began=invocation.time,
        ended=None,
        node=invocation.node,
    )


def _rows(history: History, fs: tuple[str, ...]) -> Iterator[_Row]:
    rows_before = 0
    for chunk in history:
        yield from _chunk_rows(history, chunk, fs, rows_before)
        rows_before += len(chunk.type)


def _chunk_rows(
    history: History, chunk: Chunk, fs: tuple[str, ...], rows_before: int
) -> Iterator[_Row]:
    codes = [code for code, name in enumerate(history.names) if name in fs]
    rows = np.flatnonzero(np.isin(chunk.f, codes) & (chunk.process != NEMESIS))
    columns = (
        chunk.type,
        chunk.f,
        chunk.process,
        chunk.value,
        chunk.has_value,
        chunk.time,
        chunk.node,
        chunk.has_data,
    )
    # The columns become lists first: taking numbers out of numpy arrays one by one costs more than
    # everything else here.
    lists = (column[rows].tolist() for column in columns)
    for row, type_, f, process, value, has_value, time, node, has_data in zip(
        rows.tolist(), *lists, strict=True
    ):
        yield _Row(
            rows_before + row,
            TYPES[type_],
            history.names[f],
            process,
            history.label(value) if has_value else None,
            time,
            history.nodes[node] if node >= 0 else None,
            chunk.data(row) if has_data else None,
        )
