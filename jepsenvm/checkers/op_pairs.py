"""Pairs of invocation and completion in columns, for checkers that read millions of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jepsenvm.history.op import NEMESIS
from jepsenvm.history.table import TYPE_CODES, Chunk, History, Ints, Mask


@dataclass(frozen=True)
class OpPairs:
    """Completed operations. All arrays have the same length.

    ``f`` and ``node`` are codes of the history, ``invoked`` and ``completed`` times in nanoseconds
    since the run began.
    """

    f: Ints
    node: Ints
    type: Ints
    """The type of the completion, as in ``TYPE_CODES``."""
    invoked: Ints
    completed: Ints


def pairs(history: History, fs: Sequence[str] | None = None) -> Iterator[OpPairs]:
    """Yield the clients' completed operations, for each chunk those that complete in it.

    A process does one operation at a time, so the next row of the process after an invocation is
    its completion, if it has the same f. With ``fs``, only rows of these names are read.
    """
    open_invocations: Ints = np.empty((5, 0), dtype=np.int64)
    for chunk in history:
        of_clients = chunk.process != NEMESIS
        if fs is not None:
            codes = [code for code, name in enumerate(history.names) if name in fs]
            of_clients &= np.isin(chunk.f, codes)
        rows = np.concatenate([open_invocations, _rows(chunk, of_clients)], axis=1)
        if not rows.size:
            continue
        # A stable sort by process keeps the rows of a process in the order of recording, so that
        # an invocation and its completion become neighbours.
        process, type_, f, node, time = rows = rows[:, np.argsort(rows[0], kind="stable")]
        invokes = type_ == TYPE_CODES["invoke"]
        same_process = process[1:] == process[:-1]
        begins = np.flatnonzero(same_process & invokes[:-1] & ~invokes[1:] & (f[1:] == f[:-1]))
        yield OpPairs(f[begins], node[begins], type_[begins + 1], time[begins], time[begins + 1])
        # The last row of a process, if it is an invocation, may complete in a later chunk.
        open_invocations = rows[:, np.append(~same_process, True) & invokes]


def _rows(chunk: Chunk, selected: Mask) -> Ints:
    columns = (chunk.process, chunk.type, chunk.f, chunk.node, chunk.time)
    return np.stack([column[selected].astype(np.int64) for column in columns])
