"""Worker processes, so that a crash by a signal ends one worker and is counted."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz.histories import fast_folder
from tests.fuzz.outcome import HANG, SIGNAL, Outcome

CPU_LIMIT_S: Final = 5
"""Seconds of CPU after which an input counts as a hang."""
SILENCE_LIMIT_S: Final = 120.0
"""Seconds after which an input that uses no CPU counts as a hang."""
MEMORY_LIMIT: Final = 8 << 30

Kind = Callable[[Random, Path], Outcome]


@dataclass(frozen=True)
class Batch:
    """Inputs of one kind with consecutive numbers."""

    kind: str
    start: int
    stop: int


@dataclass(frozen=True)
class Result:
    """The outcome of one input. ``files`` is a folder with the input, if the outcome is a failure.

    The caller removes that folder.
    """

    kind: str
    number: int
    outcome: Outcome
    files: Path | None


def random_of(seed: int, kind: str, number: int) -> Random:
    """Return the random numbers that make one input."""
    return Random(f"{seed} {kind} {number}")


class Workers:
    """Runs batches in forked processes. A process that dies is replaced for the rest of its batch."""

    def __init__(self, kinds: Mapping[str, Kind], seed: int, jobs: int) -> None:
        self._kinds = kinds
        self._seed = seed
        self._jobs = jobs
        # Forked workers share what the kinds have prepared.
        self._context = multiprocessing.get_context("fork")

    def run(self, batches: Iterator[Batch]) -> Iterator[Result]:
        """Yield the result of every input of the batches, in no particular order."""
        with tempfile.TemporaryDirectory(prefix="fuzz-", dir=fast_folder()) as root:
            working: dict[Connection, _Worker] = {}
            while True:
                while len(working) < self._jobs and (batch := next(batches, None)):
                    worker = self._start(batch, Path(root))
                    working[worker.connection] = worker
                if not working:
                    return
                for connection in wait(list(working), timeout=1.0):
                    worker = working[connection]  # type: ignore[index]  # they are connections
                    results = list(worker.received())
                    yield from results
                    if worker.ended:
                        del working[worker.connection]
                        rest = worker.rest()
                        if rest is not None and rest.start < rest.stop:
                            yield worker.death()
                            replacement = Batch(rest.kind, rest.start + 1, rest.stop)
                            if replacement.start < replacement.stop:
                                new = self._start(replacement, Path(root))
                                working[new.connection] = new
                        worker.clean()
                for worker in working.values():
                    worker.end_if_silent()

    def _start(self, batch: Batch, root: Path) -> _Worker:
        folder = Path(tempfile.mkdtemp(dir=root))
        receiving, sending = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_work, args=(self._kinds[batch.kind], self._seed, batch, folder, sending)
        )
        process.start()
        sending.close()
        return _Worker(batch, folder, receiving, process)


class _Worker:
    def __init__(
        self, batch: Batch, folder: Path, connection: Connection, process: ForkProcess
    ) -> None:
        self.connection = connection
        self.ended = False
        self._batch = batch
        self._folder = folder
        self._process = process
        self._next = batch.start
        self._heard_at = time.monotonic()
        self._was_silent = False

    def received(self) -> Iterator[Result]:
        """Yield the results that have arrived."""
        try:
            while self.connection.poll():
                number, outcome = self.connection.recv()
                self._next, self._heard_at = number + 1, time.monotonic()
                files = self._folder / str(number) if outcome.failed else None
                yield Result(self._batch.kind, number, outcome, files)
        except EOFError:
            self.ended = True

    def rest(self) -> Batch | None:
        """Return the inputs without a result; the first of them ended the process."""
        self._process.join()
        return Batch(self._batch.kind, self._next, self._batch.stop)

    def death(self) -> Result:
        """Return the result of the input that ended the process."""
        status = self._process.exitcode or 0
        name = signal.Signals(-status).name if status < 0 else f"exit {status}"
        hung = self._was_silent or name == "SIGPROF"
        outcome = Outcome(HANG if hung else SIGNAL, "" if hung else name)
        return Result(self._batch.kind, self._next, outcome, self._folder / str(self._next))

    def end_if_silent(self) -> None:
        """Kill the process if it has been silent for too long."""
        if time.monotonic() - self._heard_at > SILENCE_LIMIT_S:
            self._was_silent = True
            self._process.kill()

    def clean(self) -> None:
        self.connection.close()


def _work(kind: Kind, seed: int, batch: Batch, folder: Path, connection: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(folder)
    # What libraries print about a bad input would drown the progress.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    for number in range(batch.start, batch.stop):
        files = folder / str(number)
        files.mkdir()
        # SIGPROF ends a process that does not handle it, also inside a library's loop.
        signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
        outcome = kind(random_of(seed, batch.kind, number), files)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if not outcome.failed:
            shutil.rmtree(files)
        connection.send((number, outcome))
    connection.close()
    os._exit(0)
