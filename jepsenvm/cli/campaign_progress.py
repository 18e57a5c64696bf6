"""Progress of a campaign: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from jepsenvm.campaign.estimate import duration_text
from jepsenvm.campaign.judgement import Judgement, judged
from jepsenvm.campaign.planned import PlannedRun
from jepsenvm.campaign.record import Record
from jepsenvm.campaign.spec import Machines
from jepsenvm.cli.live_terminal import is_live
from jepsenvm.errors import printable_line


class CampaignProgress:
    """Shows the progress of a campaign. Any thread may report."""

    def __init__(self, runs: int, console: Console | None = None, *, stderr: bool = False) -> None:
        """``runs`` is the number of runs of the campaign.

        It prints to ``stderr`` if stdout is for the result alone.
        """
        self._runs = runs
        self._console = console or Console(highlight=False, soft_wrap=True, stderr=stderr)
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._done: set[str] = set()
        self._retries = 0
        self._progress = Progress(
            TextColumn("runs"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=not stderr,
        )
        self._task = self._progress.add_task("runs", total=runs, left="")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show a bar on a terminal while the context is open."""
        if not is_live(self._console):
            yield
            return
        with self._progress:
            yield

    def begin(self, records: Mapping[str, Record], remaining: float, retries: int) -> None:
        """Show what is done already, and the seconds that the rest will take."""
        self._retries = retries
        self._done = {run_id for run_id, record in records.items() if record.is_done(retries)}
        self._show(remaining)
        done = f"{len(self._done)} are done, " if self._done else ""
        self.note(f"{self._runs} runs: {done}about {duration_text(remaining)} left")

    def began(self, run: PlannedRun, machines: Machines) -> None:
        """Show that a run begins."""
        self.note(f"{machines.name}: {run.title}")

    def ended(self, run: PlannedRun, record: Record, remaining: float) -> None:
        """Show how a run ended, and the seconds that the others will take."""
        last = record.attempts[-1]
        with self._lock:
            if record.is_done(self._retries):
                self._done.add(run.id)
            done = len(self._done)
        self._show(remaining)
        if last.outcome is None:
            text = f"{last.ending}: {last.error}"
        else:
            reasons = [f": {reason}" for reason in last.outcome.reasons[:1]]
            text = f"{last.outcome.verdict.upper()}, {_compared(record, run)}{''.join(reasons)}"
        left = duration_text(remaining)
        self.note(f"{last.machines}: {run.title}: {text} ({done} of {self._runs}, {left} left)")

    def note(self, line: str) -> None:
        """Print one line with the elapsed seconds."""
        with self._lock, suppress(OSError):
            elapsed = time.monotonic() - self._began
            self._console.print(f"{elapsed:7.1f}  {printable_line(line)}", markup=False)

    def _show(self, remaining: float) -> None:
        left = f"about {duration_text(remaining)} left"
        self._progress.update(self._task, completed=len(self._done), left=left)


def _compared(record: Record, run: PlannedRun) -> str:
    judgement = judged(record, run.expected, run.checkers)
    if judgement in (Judgement.WORSE, Judgement.BETTER):
        return f"{judgement} than expected"
    return str(judgement)
