"""Start the processes of a fault, and let all of them act at one instant of the reference clock.

The processes are started early and wait for their standard input. Then the node is ready, and gets
the instant (``rendezvous``). At the instant only the change itself is left to do. Starting programs
on five busy hosts would take much longer, and differently long.

Order: {"actions": [{"argv": [...], "stdin": text}], "note": {...} or null, "id": text, "forget":
bool, "timeout": seconds, "stale-after": seconds or null}. Standard output: {"began": instant,
"fired": instant, "said": [lines of all]}. The note is kept in a file from just before the firing,
with the instant as its "since". A firing that forgets it removes it. An instant that is read later
than "stale-after" seconds after it is refused: everything may have been healed meanwhile.
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
from jepsenvm.machines.remote.rendezvous import NotStartedError, read_order, wait_for_instant

NOTES = Path("/run/jepsenvm/faults")
# Sleeping ends a little late, so the last moment is spent awake. It is short, because hosts may
# share processors.
SPIN_S = 0.0005
LAST_LOOK_S = (
    0.05  # seconds before the instant at which the processes are checked and the note is written
)
PREPARATION_S = 5.0  # seconds that processes may take until they wait for their input
PIPE = 65536
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, which fcntl names since 3.10 only


class ActionError(Exception):
    """An action failed."""


class Started:
    """A process that waits for its standard input."""

    def __init__(self, action: dict[str, Any]) -> None:
        """Start it in a process group of its own, so that all of it can be killed."""
        self.name = Path(action["argv"][0]).name
        self.given = action["stdin"].encode()
        # Files, not pipes: nobody reads while it runs, and a full pipe would block it.
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
        """Give it real-time scheduling, so that it runs before a busy broker.

        Its child processes get normal scheduling.
        """
        with contextlib.suppress(
            OSError
        ):  # it has ended already, or the container does not allow it
            os.sched_setscheduler(
                self.process.pid, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1)
            )

    def is_waiting(self) -> bool:
        """Return whether it has ended, or sleeps until its pipe has data.

        Without the kernel's word for what it waits for ("0"), any sleep counts.
        """
        process = Path(f"/proc/{self.process.pid}")
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            waits_for = (process / "wchan").read_text()
        except OSError:  # it has ended
            return True
        return state == "Z" or (state == "S" and (waits_for == "0" or "pipe" in waits_for))

    def give(self) -> None:
        """Write its standard input. This cannot block, because all of it fits into the pipe."""
        try:
            self.process.stdin.write(self.given)  # type: ignore[union-attr]  # it was started with a pipe
            self.process.stdin.close()  # type: ignore[union-attr]
        except BrokenPipeError:
            pass  # it ended without reading; its exit status shows whether that is a failure

    def kill(self) -> None:
        """Kill the process group, if the process still runs."""
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def lines(self, stream: IO[bytes]) -> list[str]:
        """Return the lines that it wrote to one of its files."""
        stream.seek(0)
        return stream.read().decode(errors="replace").splitlines()

    def check(self) -> None:
        """Raise ActionError if it failed."""
        if self.process.returncode:
            said = [line.strip() for line in self.lines(self.err) if line.strip()]
            silent = f"{self.name} ended with status {self.process.returncode}"
            # After its error rabbitmqctl prints a hash of the Erlang cookie, for example.
            errors = [line for line in said if line.lower().startswith("error")]
            raise ActionError([*errors, *said[-1:], silent][0])


Ended = queue.Queue  # of (Started, instant)


def main() -> None:
    """Follow the order; report an error on standard error with exit status 1."""
    order = read_order()
    started: list[Started] = []
    try:
        for action in order["actions"]:
            started.append(Started(action))
        prepare(started)
        answer = fire({**order, **wait_for_instant()}, started)
    except (ActionError, NotStartedError, OSError) as problem:
        for one in started:
            one.kill()
        sys.exit(f"error: {problem}")
    json.dump(answer, sys.stdout)


def prepare(started: list[Started]) -> None:
    """Wait until all processes wait for their input. This process acts before a busy broker."""
    for one in started:
        one.hurry()
    hurry()
    deadline = time.monotonic() + PREPARATION_S
    while not all(one.is_waiting() for one in started) and time.monotonic() < deadline:
        time.sleep(0.01)


def fire(order: dict[str, Any], started: list[Started]) -> dict[str, Any]:
    """Wait for the instant, let all processes act, and wait for their ends."""
    # The actions may move the wall clock, so the monotonic clock measures the time.
    ahead = wall() - time.monotonic()
    at = order["at"] - ahead
    ended: Ended[tuple[Started, float]] = queue.Queue()
    for one in started:
        threading.Thread(target=watch, args=(one, ended), daemon=True).start()
    sleep_until(at - LAST_LOOK_S)
    for one in started:
        one.check()  # nothing acts if one of them could not prepare itself
    refuse_stale(order)
    note = NOTES / f"{order['id']}.json"
    if order.get("note") is not None:
        keep(note, {**order["note"], "since": order["instant"]})
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


def refuse_stale(order: dict[str, Any]) -> None:
    """Raise ActionError if it is too late for an instant: this host may have been frozen."""
    limit = order.get("stale-after")
    if limit is not None and wall() > order["at"] + limit:
        raise ActionError("the order came too late")


def hurry() -> None:
    """Give this process and its later threads real-time scheduling: all hosts must act at once."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:  # some containers do not allow it
        with contextlib.suppress(OSError):
            os.nice(-20)


def watch(one: Started, ended: Ended[tuple[Started, float]]) -> None:
    """Report the end of a process without the delay of polling."""
    one.process.wait()
    ended.put((one, time.monotonic()))


def wait(started: list[Started], ended: Ended[tuple[Started, float]], timeout: float) -> float:
    """Return the time at which the last process ended.

    Raise ActionError for the first that fails, or after the timeout.
    """
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
    """Sleep until an instant of the monotonic clock."""
    time.sleep(max(0.0, instant - time.monotonic()))


def keep(note: Path, content: Any) -> None:
    """Write the note atomically, readable by root only."""
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = note.with_suffix(".new")
    draft.write_text(json.dumps(content))
    draft.replace(note)


if __name__ == "__main__":
    main()
