"""Reports of runs: the stored report, or else a new report that is kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from threading import Lock
from typing import BinaryIO, Final

from jepsenvm.experiment.store import REPORT
from jepsenvm.experiment.stored_run import load_run
from jepsenvm.report.html import page
from jepsenvm.serve.plain_files import chunks, open_plain, size_of
from jepsenvm.serve.run_facts import RunFacts

MOST_KEPT: Final = 8
"""Reports that are kept in memory. Each has a few megabytes at most."""


class Reports:
    """Gives the report of a run. Any thread may ask; one report is made at a time."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, float], bytes] = OrderedDict()
        self._lock = Lock()

    def report(self, run: RunFacts) -> Iterator[bytes]:
        """Return the HTML of a report piece by piece. The folder of the run is not changed.

        Raises JepsenvmError if no report can be made.
        """
        stored = open_plain(run.place.folder / REPORT)
        return _sent(stored) if stored is not None else iter([self._of_now(run)])

    def _of_now(self, run: RunFacts) -> bytes:
        key = (run.place.key, run.written)
        with self._lock:
            if key not in self._made:
                self._made[key] = page(load_run(run.place.folder)).encode()
                while len(self._made) > MOST_KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return self._made[key]


def _sent(file: BinaryIO) -> Iterator[bytes]:
    with file:
        yield from chunks(file, size_of(file))
