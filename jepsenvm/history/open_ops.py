"""Invocations without a completion: ops that were in flight when their recorder ended."""

from __future__ import annotations

import numpy as np

from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import TYPE_CODES, History


def open_ops(history: History) -> list[Op]:
    """Return the clients' invocations without a completion, in the order of their processes.

    A process has one open op at most, so that is its last one.
    """
    last: dict[int, Op] = {}
    for chunk in history:
        rows = np.flatnonzero(chunk.process != NEMESIS)
        # The last row of each process in this chunk.
        processes, places = np.unique(chunk.process[rows][::-1], return_index=True)
        last_rows = rows[len(rows) - 1 - places]
        is_open = chunk.type[last_rows] == TYPE_CODES["invoke"]
        for process in processes[~is_open].tolist():
            last.pop(process, None)
        for op in history.ops_at(chunk, last_rows[is_open]):
            last[op.process] = op
    return [last[process] for process in sorted(last)]
