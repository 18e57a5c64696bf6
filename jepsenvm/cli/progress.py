"""The story of a run as it happens: live on a terminal, plain lines elsewhere, and all of it in the run's log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from jepsenvm.workloads.workload import Tally


class RunProgress:
    """Tells lines and progress; any thread may tell."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self._log = logging.getLogger("jepsenvm.story")
        self._log.setLevel(logging.INFO)
        self._log.propagate = False
        self._progress: Progress | None = None
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        """Tell one line of the story."""
        with self._lock:
            self._console.print(f"{time.monotonic() - self._began:7.1f}  {line}", markup=False)
        self._log.info(line)

    def tell(self, tallies: Mapping[str, Tally], share: float) -> None:
        """Show how far the publishers are: as bars on a terminal, as lines elsewhere."""
        lines = [tally.line(name) for name, tally in tallies.items()]
        for line in lines:
            self._log.info(line)
        if self._console.is_terminal:
            self._bar(sum(tally.sent for tally in tallies.values()), share)
        else:
            with self._lock:
                for line in lines:
                    self._console.print(
                        f"{time.monotonic() - self._began:7.1f}  {line}", markup=False
                    )

    @contextmanager
    def kept_in(self, log: Path) -> Iterator[None]:
        """Keep the story in a file as well, with UTC times."""
        # A disk that fills up is told by the history, in one line; the log's own tracebacks would bury it.
        logging.raiseExceptions = False
        handler = logging.FileHandler(log, encoding="utf-8")
        formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
        self._log.addHandler(handler)
        # What asyncio says of tasks that were cancelled midway belongs there too, not among a user's one-line errors.
        loop_log = logging.getLogger("asyncio")
        loop_log.addHandler(handler)
        loop_log.propagate = False
        try:
            yield
        finally:
            if self._progress:
                self._progress.stop()
                self._progress = None
            self._log.removeHandler(handler)
            loop_log.removeHandler(handler)
            handler.close()

    def _bar(self, sent: int, share: float) -> None:
        if self._progress is None:
            self._progress = Progress(
                TextColumn("load"),
                BarColumn(),
                TextColumn("{task.fields[sent]:,} confirmed"),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            self._progress.add_task("load", total=1.0, sent=0)
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], completed=share, sent=sent)
        if share >= 1.0:
            self._progress.stop()
