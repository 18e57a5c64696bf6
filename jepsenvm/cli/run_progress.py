"""Progress of a run: its log lines and a live view, on the terminal and in the log file of the run.

A thread prints everything, so a terminal that is slow or stopped never delays the run.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from rich.console import Console
from rich.live import Live

from jepsenvm import steps
from jepsenvm.cli.live_state import LiveState
from jepsenvm.cli.live_table import drawn
from jepsenvm.cli.live_terminal import is_live
from jepsenvm.cli.progress import shown
from jepsenvm.cli.repeated_lines import RepeatedLines
from jepsenvm.errors import printable, printable_line
from jepsenvm.experiment.run_events import RunEvent, Watch
from jepsenvm.steps import Step
from jepsenvm.workloads.connection_log import ConnectionEvent, connection_event

REFRESH_S: Final = 0.5
"""Seconds between two pictures of the live view."""

END_S: Final = 2.0
"""Seconds that the end of this process waits for the terminal to be restored."""

_Line = str | ConnectionEvent


class RunProgress:
    """Shows the progress of a run with the seconds since it began; any thread may report.

    Anywhere but on a terminal, it prints plain lines.
    """

    def __init__(self, console: Console | None = None, *, stderr: bool = False) -> None:
        """Print to stdout, or to ``stderr`` if stdout is for the result alone."""
        self._console = console or Console(highlight=False, soft_wrap=True, stderr=stderr)
        self._is_live = is_live(self._console)
        self._screen = _Screen(self._console, moves=self._is_live)

    @property
    def watch(self) -> Watch | None:
        """What the run must tell its events; None if nobody would see them."""
        return self._screen.tell if self._is_live else None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Print progress while the context is open."""
        with self._screen.open():
            handler = _ConsoleHandler(self._screen)
            if self._is_live:
                handler.addFilter(steps.is_still)
            with shown(handler, alone=True), steps.listening(self._screen.tell):
                yield

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


class _Screen:
    """Prints lines, and the live view below them if it ``moves``, from a thread of its own."""

    def __init__(self, console: Console, *, moves: bool) -> None:
        self._console = console
        self._moves = moves
        self._began = time.monotonic()
        self._queue: SimpleQueue[tuple[float, _Line | RunEvent | Step | None]] = SimpleQueue()
        self._state = LiveState()
        self._repeated = RepeatedLines()
        self._live: Live | None = None

    def tell(self, item: _Line | RunEvent | Step) -> None:
        """Show a line, or an event of the run in the live view. Return at once."""
        self._queue.put((self._now(), item))

    @contextmanager
    def open(self) -> Iterator[None]:
        """Print while the context is open, and restore the terminal at its end."""
        thread = threading.Thread(target=self._print_all, name="screen", daemon=True)

        def end(timeout: float | None = None) -> None:
            self._queue.put((self._now(), None))
            thread.join(timeout)

        # A second signal may interrupt the end below.
        atexit.register(end, END_S)
        thread.start()
        try:
            yield
        finally:
            end()
            atexit.unregister(end)

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _print_all(self) -> None:
        """Print until the end of the queue."""
        try:
            while self._print_until(self._now() + REFRESH_S):
                now = self._now()
                self._print(self._repeated.due(now), now)
                self._refresh(now)
            now = self._now()
            self._print(self._repeated.rest(now), now)
        finally:
            self._stop_moving()

    def _print_until(self, deadline: float) -> bool:
        """Print what comes until a time; return False at the end of the queue."""
        while (left := deadline - self._now()) > 0:
            try:
                at, item = self._queue.get(timeout=left)
            except Empty:
                return True
            match item:
                case None:
                    return False
                case str():
                    self._print([item], at)
                case ConnectionEvent():
                    self._print(self._repeated.lines(item, at), at)
                case _:
                    self._state.apply(item, at)
                    self._start_moving()
        return True

    def _print(self, lines: Iterator[str] | list[str], at: float) -> None:
        for line in lines:
            with suppress(OSError):  # a line that cannot be written must not end the run
                self._console.print(f"{at:7.1f}  {printable_line(line)}", markup=False)

    def _start_moving(self) -> None:
        """Show the live view, from the first event or step on."""
        if not self._moves or self._live is not None:
            return
        # What others print goes where it belongs: a redirected stdout would end up on stderr.
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _refresh(self, now: float) -> None:
        if self._live is None:
            return
        try:
            self._live.update(drawn(self._state.view(now)), refresh=True)
        except Exception as crash:  # the view shows the run and must not end its lines
            self._stop_moving()
            self._moves = False
            self._print([f"the live view crashed: {type(crash).__name__}: {crash}"], now)

    def _stop_moving(self) -> None:
        if self._live is not None:
            with suppress(OSError):
                self._live.stop()
            self._live = None


class _PrintableFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        # A traceback of asyncio has lines.
        return printable(text) if record.exc_info else printable_line(text)


class _ConsoleHandler(logging.Handler):
    def __init__(self, screen: _Screen) -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        self._screen.tell(connection_event(record) or record.getMessage())
