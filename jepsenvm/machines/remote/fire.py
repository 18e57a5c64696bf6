"""Start the processes of a fault, and let all of them act at one instant of this node's clock (see ``wall``).

Standard input: {"at": instant, "actions": [{"argv": [...], "stdin": text}], "note": {...} or null, "id": text,
"forget": bool, "timeout": seconds}. Standard output: {"began": instant, "fired": instant, "said": [lines of all]}.
The note is kept in a file from just before the firing, and removed when a firing that forgets it has succeeded.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from jepsenvm.machines.remote.reference_clock import wall

NOTES = Path("/run/jepsenvm/faults")
SPIN_S = 0.0005  # sleeping ends a little late; the last bit is spent awake, and no longer: hosts may share processors
LAST_LOOK_S = (
    0.05  # so long before the instant it is seen whether all are ready, and the note is written
)
PIPE = 65536
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, which fcntl names since 3.10 only


class ActionError(Exception):
    """A command did not do its work."""


class Started:
    """A process that waits for its standard input."""

    def __init__(self, action: dict[str, Any]) -> None:
        """Start it, in a group of its own so that all of it can be killed."""
        self.name = Path(action["argv"][0]).name
        self.given = action["stdin"].encode()
        # Files, not pipes: nobody reads along, and a full pipe would stop it.
        self.out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - they live as long as the process
        self.err: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self.process = subprocess.Popen(
                action["argv"],
                stdin=subprocess.PIPE,
                stdout=self.out,
                stderr=self.err,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as problem:
            raise ActionError(f"{self.name}: {problem.strerror}") from None
        if len(self.given) > PIPE:
            fcntl.fcntl(self.process.stdin.fileno(), SET_PIPE_SIZE, len(self.given))  # type: ignore[union-attr]

    def hurry(self) -> None:
        """Let it run before whatever keeps this machine busy; what it starts in its turn runs as usual."""
        with contextlib.suppress(
            OSError
        ):  # it has ended already, or where root may not do even that, is less exact
            os.sched_setscheduler(
                self.process.pid, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1)
            )

    def give(self) -> None:
        """Give it its standard input; this cannot block, as all of it fits into the pipe."""
        try:
            self.process.stdin.write(self.given)  # type: ignore[union-attr]  # it was started with a pipe
            self.process.stdin.close()  # type: ignore[union-attr]
        except BrokenPipeError:
            pass  # it ended without reading; how it ended tells whether that is a failure

    def kill(self) -> None:
        """Kill what is left of it."""
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def lines(self, stream: IO[bytes]) -> list[str]:
        """Return what it wrote to one of its files."""
        stream.seek(0)
        return stream.read().decode(errors="replace").splitlines()

    def check(self) -> None:
        """Raise ActionError when it ended badly."""
        if self.process.returncode:
            said = [line.strip() for line in self.lines(self.err) if line.strip()]
            raise ActionError(
                said[-1] if said else f"{self.name} ended with status {self.process.returncode}"
            )


Ended = queue.Queue  # of (Started, instant)


def main() -> None:
    """Do as ordered; say why not on standard error, with exit status 1."""
    order = json.load(sys.stdin)
    started: list[Started] = []
    try:
        for action in order["actions"]:
            started.append(Started(action))
        answer = fire(order, started)
    except (ActionError, OSError) as problem:
        for one in started:
            one.kill()
        sys.exit(f"error: {problem}")
    json.dump(answer, sys.stdout)


def fire(order: dict[str, Any], started: list[Started]) -> dict[str, Any]:
    """Wait for the instant, let all processes act, and wait for them."""
    # What acts may move the wall clock: all is timed by the monotonic one.
    ahead = wall() - time.monotonic()
    at = order["at"] - ahead
    for one in started:
        one.hurry()
    hurry()
    ended: Ended[tuple[Started, float]] = queue.Queue()
    for one in started:
        threading.Thread(target=watch, args=(one, ended), daemon=True).start()
    sleep_until(at - LAST_LOOK_S)
    for one in started:
        one.check()  # nothing acts when one of them could not get ready
    note = NOTES / f"{order['id']}.json"
    if order.get("note") is not None:
        keep(note, order["note"])
    sleep_until(at - SPIN_S)
    while time.monotonic() < at:
        pass
    began = time.monotonic()
    for one in started:
        one.give()
    fired = wait(started, ended, order["timeout"]) if started else began
    if order.get("forget"):
        note.unlink(missing_ok=True)
    said = [line for one in started for line in one.lines(one.out)]
    return {"began": began + ahead, "fired": fired + ahead, "said": said}


def hurry() -> None:
    """Run before a busy broker, in all threads that are still to be started: all nodes are to act at once."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:  # some containers may not
        with contextlib.suppress(OSError):
            os.nice(-20)


def watch(one: Started, ended: Ended[tuple[Started, float]]) -> None:
    """Tell when a process ended, without the delays of polling for it."""
    one.process.wait()
    ended.put((one, time.monotonic()))


def wait(started: list[Started], ended: Ended[tuple[Started, float]], timeout: float) -> float:
    """Return when the last process ended; raise ActionError for the first that fails, or when time is over."""
    deadline = time.monotonic() + timeout
    last = 0.0
    for _ in started:
        try:
            one, instant = ended.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            late = " and ".join(one.name for one in started if one.process.returncode is None)
            raise ActionError(f"{late} did not end within {timeout:g} s") from None
        one.check()
        last = max(last, instant)
    return last


def sleep_until(instant: float) -> None:
    """Sleep until an instant of the monotonic clock; not at all when it has passed."""
    time.sleep(max(0.0, instant - time.monotonic()))


def keep(note: Path, content: Any) -> None:
    """Write the note, whole or not at all, for root's eyes only."""
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = note.with_suffix(".new")
    draft.write_text(json.dumps(content))
    draft.replace(note)


if __name__ == "__main__":
    main()
