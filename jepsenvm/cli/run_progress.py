"""Progress of a run: its log lines and its load, on the terminal and in the log file of the run."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from jepsenvm.cli.progress import LOGGER, shown
from jepsenvm.errors import printable, printable_line
from jepsenvm.workloads.context import OpCounts


class RunProgress:
    """Shows the progress of a run with the seconds since it began; any thread may report."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self._progress: Progress | None = None
        self._lock = threading.Lock()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Print progress while the context is open."""
        try:
            with shown(_ConsoleHandler(self), alone=True):
                yield
        finally:
            if self._progress:
                self._progress.stop()
                self._progress = None

    @contextmanager
    def kept_in(self, log: Path) -> Iterator[None]:
        """Write progress to a file, with UTC times, while the context is open."""
        # The history reports a full disk in one line. The tracebacks of the log would hide it.
        logging.raiseExceptions = False
        log.touch(mode=0o600)
        file = logging.FileHandler(log, encoding="utf-8")
        formatter = _PrintableFormatter("%(asctime)s.%(msecs)03dZ %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        file.setFormatter(formatter)
        # asyncio reports tasks that were cancelled midway. That belongs in the file only.
        loop_logger = logging.getLogger("asyncio")
        loop_logger.addHandler(file)
        loop_logger.propagate = False
        try:
            with shown(file):
                yield
        finally:
            loop_logger.removeHandler(file)
            file.close()

    def print(self, line: str) -> None:
        """Print one line with the elapsed seconds."""
        with self._lock:
            elapsed_s = time.monotonic() - self._began
            self._console.print(f"{elapsed_s:7.1f}  {printable_line(line)}", markup=False)

    def load(self, tallies: Mapping[str, OpCounts], share: float) -> None:
        """Show the publishers' tallies; ``share`` is the part of the load's time that has passed.

        A terminal gets a progress bar, and the log file one line per publisher. Elsewhere both get
        the lines.
        """
        for name, tally in tallies.items():
            LOGGER.info(tally.line(name), extra={"tally": True})
        if self._console.is_terminal:
            self._bar(sum(tally.ok for tally in tallies.values()), share)

    def shows(self, record: logging.LogRecord) -> bool:
        """Return whether a log record is printed: on a terminal the bar replaces the tallies."""
        return not (self._console.is_terminal and getattr(record, "tally", False))

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


class _PrintableFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        # A traceback of asyncio has lines.
        return printable(text) if record.exc_info else printable_line(text)


class _ConsoleHandler(logging.Handler):
    def __init__(self, progress: RunProgress) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        # A line that cannot be written must not end the run.
        if self._progress.shows(record):
            with suppress(OSError):
                self._progress.print(record.getMessage())
