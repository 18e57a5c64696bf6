"""The lost tail: what a process published just before it was killed, and did not record."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import numpy as np

from jepsenvm.checkers.total_queue import END
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import Type
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History, Ints

LOST_TAIL: Final = "published just before the controller ended, and not recorded"
LOST_TAIL_OF_LOAD: Final = "published just before its load process died, and not recorded"

_IN_DOUBT: Final[tuple[Type, ...]] = ("invoke", "info")


def record_lost_tail(
    journal: Journal,
    first_segment: Path,
    publishers: int,
    messages: int | None,
    *,
    error: str = LOST_TAIL,
    first_process: int = 1,
    of: Collection[int] | None = None,
) -> int:
    """Record messages that came back as enqueues in doubt if only their records can be missing.

    Publisher number ``i`` of ``n`` publishes the values i, i + n, i + 2n and so on, in this order,
    up to ``messages``. So a value above the highest recorded one of its publisher was published
    after the last record. Any other value was invented by the broker and stays unexpected. Return
    how many were recorded. ``first_process`` is the first number of their processes. ``of`` are the
    publishers that were killed; None for all.
    """
    journal.flush()
    values = lost_tail(open_history(first_segment), publishers, messages, of)
    for process, value in enumerate(values.tolist(), first_process):
        for type_ in _IN_DOUBT:
            text = error if type_ == "info" else None
            journal.append(type_, "enqueue", value, process=process, error=text)
    return len(values)


def lost_tail(
    history: History,
    publishers: int,
    messages: int | None,
    of: Collection[int] | None = None,
) -> Ints:
    """Return the values that came back and were published after the last record."""
    attempted = _of_load(history.values("invoke", "enqueue"), messages)
    returned = np.concatenate([history.values("ok", "dequeue"), history.values("ok", "read")])
    missing = np.setdiff1d(_of_load(returned, messages), attempted)
    if of is not None:
        missing = missing[np.isin(missing % publishers, list(of))]
    highest = np.full(publishers, -1, dtype=np.int64)
    np.maximum.at(highest, attempted % publishers, attempted)
    tail: Ints = missing[missing > highest[missing % publishers]]
    return tail


def _of_load(values: Ints, messages: int | None) -> Ints:
    """Return the values that publishers of the load may have published."""
    of_load: Ints = values[(values >= 0) & (values < (messages or END))]
    return of_load
