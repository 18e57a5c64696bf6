"""A load process that a run has started: messages to it, messages from it, and its end."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from jepsenvm.errors import RunError, last_line, shorten
from jepsenvm.experiment.load_protocol import MOST_BYTES, Message

COMMAND: Final = (sys.executable, "-m", "jepsenvm.experiment.load_process")
"""The program of a load process. Its argument is the file descriptor of a socket."""

END_TIMEOUT_S: Final = 10.0
"""Seconds in which a killed process must end. A process that waits for a disk may take longer."""

SILENT_STEPS: Final = 10
"""Steps of waiting without a message after which a process hangs. If the run itself was stopped
for a while, only one step has passed."""

_ERROR_BYTES: Final = 4096


class Died(Exception):  # noqa: N818 - named after the event
    """The process ended before its work did, or was killed because it hung; the text says how."""


class StartedProcess:
    """One load process."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._errors = b""
        """The end of what it has printed to its standard error."""

    @property
    def pid(self) -> int | None:
        """The process id; None before the start."""
        return None if self._process is None else self._process.pid

    async def start(self, first: Message) -> None:
        """Start the process, and tell it its first message. Raise RunError if it cannot start."""
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = await self._started(theirs)
        except OSError as error:
            raise RunError(f"a load process could not be started: {error.strerror}") from error
        self._reader, self._writer = await asyncio.open_connection(sock=ours, limit=MOST_BYTES)
        self._collecting = asyncio.ensure_future(self._collect_errors(self._process))
        self.tell(first)

    async def _started(self, channel: socket.socket) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            str(channel.fileno()),
            pass_fds=[channel.fileno()],
            # ``-m`` looks in the current folder first, so that must be where this package is.
            cwd=Path(__file__).parents[2],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # signals of the terminal are for the run alone
        )

    def tell(self, message: Message) -> None:
        """Send a message. A process that has ended does not get it."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(message.line())

    async def next_message(self, silent: float) -> Message:
        """Return the next message; raise Died if the process ends first.

        A process that is silent for ``silent`` seconds hangs, and is killed.
        """
        try:
            line = await self._next_line(silent)
        except ConnectionError:
            line = b""
        except TimeoutError:
            self.kill()
            raise Died(f"it gave no sign of life for {silent:g} s and was killed") from None
        if not line.endswith(b"\n"):
            raise Died(await self._cause_of_end())
        try:
            return Message.of(line)
        except ValueError as problem:
            self.kill()
            raise Died(f"it sent something else and was killed: {problem}") from None

    async def _next_line(self, silent: float) -> bytes:
        """Return the next line, or its beginning at the end; raise TimeoutError if it hangs."""
        reading = asyncio.ensure_future(self._reader.readline())
        try:
            for _ in range(SILENT_STEPS):
                if (await asyncio.wait({reading}, timeout=silent / SILENT_STEPS))[0]:
                    return reading.result()
            raise TimeoutError
        finally:
            reading.cancel()

    def dismiss(self) -> None:
        """Close the socket: a process that has told its last message ends then."""
        if self._writer is not None:
            self._writer.close()

    async def ended(self) -> bool:
        """Wait until the process has ended, or END_TIMEOUT_S; return whether it has."""
        if self._process is None:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT_S):
                await self._process.wait()
        return self._process.returncode is not None

    def kill(self) -> None:
        """Kill the process, if it still runs."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.kill()
        self.dismiss()

    async def _cause_of_end(self) -> str:
        """Return how the process ended, after it has closed its end of the socket."""
        if self._process is None or not await self.ended():
            self.kill()
            return "it closed its connection to the run"
        status = self._process.returncode or 0
        if status < 0:
            return f"killed by {_signal_name(-status)}"
        await self._collecting
        text = last_line(self._errors.decode(errors="replace"))
        return f"exit status {status}" + (f": {shorten(text, 200)}" if text else "")

    async def _collect_errors(self, process: asyncio.subprocess.Process) -> None:
        while process.stderr is not None and (part := await process.stderr.read(_ERROR_BYTES)):
            self._errors = (self._errors + part)[-_ERROR_BYTES:]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
