"""Commands of jepsenvm in processes of their own, and the processes that a killed campaign left.

A crash of a run then does not end the campaign. The processes have sessions of their own, so that a
signal from the keyboard reaches only the campaign, which passes it on once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from jepsenvm.errors import RunError, last_line, printable_line, shorten

MARK: Final = "JEPSENVM_CAMPAIGN"
"""The environment variable by which the processes of a campaign are found again. Its value is the
folder of the campaign."""

PROGRAM: Final = ("-P", "-m", "jepsenvm")
"""The arguments of Python that run the command line. ``-P`` ignores modules of the current folder.
"""

POLL_S: Final = 0.2
HURRY_AFTER_S: Final = 120.0
"""Seconds after which a process that was left is told to skip its drain."""
GIVE_UP_AFTER_S: Final = 1800.0

_PROC: Final = Path("/proc")


class Stop:
    """The requests to stop: the first ends the load of each run, the second skips its drain."""

    def __init__(self) -> None:
        self._requests = 0
        self._lock = threading.Lock()

    def request(self) -> None:
        """Ask every process to stop, or to hurry if it was asked before."""
        with self._lock:
            self._requests += 1

    @property
    def requests(self) -> int:
        """How often stopping was requested."""
        return self._requests

    def __bool__(self) -> bool:
        return self._requests > 0


def run_command(words: Sequence[str], log: Path, mark: Path, stop: Stop) -> int:
    """Run a command of jepsenvm and return its exit status; the negative number of a signal.

    Its output is appended to ``log``. ``mark`` is the folder of the campaign. Each request to stop
    sends SIGTERM, on which a run heals and ends. So does a signal that raises KeyboardInterrupt in
    the main thread; it is raised again at the end. The process is always waited for.
    """
    environment = {**os.environ, MARK: str(mark.resolve())}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        return _waited_for(process, stop)


def _waited_for(process: subprocess.Popen[bytes], stop: Stop) -> int:
    sent = 0
    interrupted = False
    while process.returncode is None:
        try:
            if stop.requests > sent:
                sent = stop.requests
                process.terminate()
            process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            continue
        except KeyboardInterrupt:
            interrupted = True
            process.terminate()
    if interrupted:
        raise KeyboardInterrupt
    return process.returncode


def last_error(log: Path) -> str:
    """Return the last line that a command printed, shortened; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return shorten(printable_line(last_line(text)).removeprefix("jepsenvm: "), 400)


def end_left_processes(mark: Path, report: Callable[[str], None]) -> None:
    """End the commands that a killed campaign of this folder left; wait until they have healed.

    Raises RunError if one of them does not end.
    """
    began, hurried = time.monotonic(), False
    left = _left_processes(mark)
    for pid in left:
        report(f"process {pid} of the killed campaign still runs: it heals, then ends")
    _terminate(left)
    while left := _left_processes(mark):
        waited = time.monotonic() - began
        if waited > HURRY_AFTER_S and not hurried:
            hurried = True
            _terminate(left)
        if waited > GIVE_UP_AFTER_S:
            raise RunError(
                f"process {left[0]} of the killed campaign does not end", remedy="end it"
            )
        time.sleep(POLL_S)


def _terminate(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def _left_processes(mark: Path) -> list[int]:
    """Return the processes that run a command of jepsenvm for this campaign."""
    wanted = f"{MARK}={mark.resolve()}".encode()
    program = [word.encode() for word in PROGRAM]
    found = []
    for folder in _PROC.glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or belongs to another user
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if words[1 : 1 + len(program)] != program or int(folder.name) == os.getpid():
                continue
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return sorted(found)
