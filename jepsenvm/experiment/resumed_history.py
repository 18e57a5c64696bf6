"""The history of a run that is resumed: what was recorded, and what the new segment adds to it.

A killed controller leaves ops open, and it had published messages that it did not record yet: at
most those of the last ``FLUSH_EVERY_S`` (see ``experiment.load``). The new segment closes the ops
that a checker counts, and adds the unrecorded messages that came back as ops in doubt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jepsenvm.checkers.total_queue import END
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import NEMESIS, Type
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import TYPE_CODES


@dataclass(frozen=True)
class Recorded:
    """What the segments of a history have on record when the run is resumed."""

    complete: bool
    last_time: int
    """Nanoseconds since the run began."""
    next_process: int
    """No process has this number or a higher one."""
    open_drains: tuple[int, ...]
    """The processes with a drain that did not end."""
    end_confirmed: bool
    """Whether the record that ends a stream was confirmed."""


def recorded_so_far(first_segment: Path) -> Recorded:
    """Return what is on record; raise UsageError if a segment cannot be read."""
    history = open_history(first_segment)
    last_time, highest = 0, NEMESIS
    open_drains: dict[int, int] = {}
    end_confirmed = False
    for chunk in history:
        if not len(chunk.process):
            continue
        last_time = max(last_time, int(chunk.time.max()))
        highest = max(highest, int(chunk.process.max()))
        confirmed = history.mask(chunk, "ok", "enqueue") & chunk.has_value
        end_confirmed = end_confirmed or bool((chunk.value[confirmed] == END).any())
        if "drain" in history.names:
            rows = np.flatnonzero(chunk.f == history.names.index("drain"))
            for process, type_ in zip(
                chunk.process[rows].tolist(), chunk.type[rows].tolist(), strict=True
            ):
                change = 1 if type_ == TYPE_CODES["invoke"] else -1
                open_drains[process] = open_drains.get(process, 0) + change
    still_open = tuple(process for process, number in open_drains.items() if number > 0)
    return Recorded(history.complete, last_time, highest + 1, still_open, end_confirmed)


class ResumedJournal(Journal):
    """The segment of a resumed run.

    Its clients are new processes: their numbers follow the recorded ones. Its times continue those
    of the run.
    """

    def __init__(self, path: Path, began: float, recorded: Recorded) -> None:
        """Create the segment; ``began`` is the time at which the history begins, wall clock."""
        self._first_process = recorded.next_process
        self._end_confirmed = recorded.end_confirmed
        super().__init__(path, _clock(began, recorded.last_time))

    def append(  # noqa: PLR0913 - the signature of Journal
        self,
        type: Type,
        f: str,
        value: int | None = None,
        *,
        process: int,
        node: str | None = None,
        error: str | None = None,
        data: Any = None,
        offset: int | None = None,
    ) -> None:
        """Record an op of a new process, or of the nemesis."""
        if process != NEMESIS:
            process += self._first_process
        if type == "ok" and f == "enqueue" and value == END and self._end_confirmed:
            # Readers stop at the first of the two records that end the stream now. The second one
            # must not count as confirmed and missing.
            type, error = "info", "the end of the stream is published for the second time"
        super().append(
            type, f, value, process=process, node=node, error=error, data=data, offset=offset
        )

    def fail_drain(self, process: int, error: str) -> None:
        """Record that a drain of the ended controller failed; its deliveries count."""
        super().append("fail", "drain", process=process, error=error)


def close_open_drains(
    journal: ResumedJournal, recorded: Recorded, *, complete: bool, cause: str
) -> None:
    """Record how the drains of the ended controller ended.

    ``complete`` is False if acknowledged deliveries may be missing from the history, because the
    machine of the controller went down with what it had not yet written to its disk. Then a
    message that does not come back is not proven to be lost: a drain in doubt says so.
    """
    for process in recorded.open_drains:
        journal.fail_drain(process, cause)
    if not complete:
        journal.append("invoke", "drain", process=0)
        error = "the controller's machine restarted, so recorded deliveries may be missing"
        journal.append("info", "drain", process=0, error=error)


def _clock(began: float, last_time: int) -> Callable[[], int]:
    """Return a clock in nanoseconds since the run began, which continues after its last record."""
    start = max(last_time + 1, round((time.time() - began) * 1e9))
    origin = time.monotonic_ns()
    return lambda: start + time.monotonic_ns() - origin
