"""The progress bar of ``cli.slow_bar``, for a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from jepsenvm import steps
from jepsenvm.cli.live_terminal import is_live
from jepsenvm.cli.progress import LOGGER
from jepsenvm.errors import printable_line
from jepsenvm.steps import Step


@contextmanager
def shown_after(seconds: float, what: str) -> Iterator[None]:
    """Show a bar on stderr while the context is open, if that takes longer than some seconds.

    ``what`` is being done until a step says more. There is no bar if nobody looks at stderr.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not is_live(console):
        yield
        return
    bar = _Bar(what, console)
    timer = threading.Timer(seconds, bar.show)
    timer.daemon = True
    timer.start()
    try:
        with steps.listening(bar.tell), _without_moving_lines():
            yield
    finally:
        timer.cancel()
        bar.end()


@contextmanager
def _without_moving_lines() -> Iterator[None]:
    """Leave out lines that only say how far some work is: the bar shows it."""
    handlers = list(LOGGER.handlers)
    for handler in handlers:
        handler.addFilter(steps.is_still)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(steps.is_still)


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text(f"{int(task.completed):,}" if task.completed else "")
        return Text(f"{int(task.completed):,} of {int(task.total):,}")


class _Bar:
    def __init__(self, what: str, console: Console) -> None:
        self._lock = threading.Lock()
        self._ended = False
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            _Count(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            expand=True,
            refresh_per_second=4,
            # Lines of the command stand above the bar, unless stdout is a pipe or a file.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._task = self._progress.add_task(printable_line(what), total=None)

    def show(self) -> None:
        with self._lock:
            if not self._ended:
                self._progress.start()

    def tell(self, step: Step) -> None:
        self._progress.update(
            self._task,
            description=printable_line(step.what),
            completed=step.done,
            total=step.total,
        )

    def end(self) -> None:
        with self._lock:
            self._ended = True
            self._progress.stop()
