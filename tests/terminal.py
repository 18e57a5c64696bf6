"""A terminal in which tests run a command: what it shows, and how the command leaves it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

HIDE_CURSOR: Final = "\x1b[?25l"
SHOW_CURSOR: Final = "\x1b[?25h"

_PLAIN_VARIABLES: Final = ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "LINES")
"""Variables of the environment that change what a terminal gets."""


class Terminal:
    """A command in a pseudo-terminal of 80 columns. Its standard streams are the terminal.

    Its standard output may be a file instead.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        stdout: Path | None = None,
    ) -> None:
        self._controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        self._before = termios.tcgetattr(terminal)
        inherited = {k: v for k, v in os.environ.items() if k not in _PLAIN_VARIABLES}
        with ExitStack() as files:
            output = terminal if stdout is None else files.enter_context(stdout.open("wb"))
            self._process = subprocess.Popen(
                argv,
                cwd=folder,
                env={**inherited, "TERM": "xterm-256color", **(environment or {})},
                stdin=terminal,
                stdout=output,
                stderr=terminal,
                start_new_session=True,
            )
        self._terminal = terminal
        self.text = ""
        """The whole output of the command until now."""

    def read_until(self, true: Callable[[str], bool], seconds: float) -> bool:
        """Read until a condition of the text is true; return whether it is in time."""
        deadline = time.monotonic() + seconds
        while not true(self.text):
            left = deadline - time.monotonic()
            if left <= 0 or (self._process.poll() is not None and not self._read(0.0)):
                return true(self.text)
            self._read(min(left, 0.5))
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command."""
        self._process.send_signal(number)

    def ended(self, seconds: float) -> int:
        """Read until the command has ended; return its exit status. Kill it if it does not end."""
        deadline = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < deadline:
            self._read(0.2)
        while self._read(0.0):
            pass
        self._process.kill()
        status = self._process.wait()
        self.is_unchanged = termios.tcgetattr(self._terminal) == self._before
        os.close(self._terminal)
        os.close(self._controller)
        return status

    @property
    def is_restored(self) -> bool:
        """Whether the ended command left the cursor visible, and the terminal's modes as before."""
        cursor_is_shown = self.text.rfind(SHOW_CURSOR) >= self.text.rfind(HIDE_CURSOR)
        return self.is_unchanged and cursor_is_shown

    def _read(self, seconds: float) -> bool:
        """Read what there is, or comes in time; return whether there was anything."""
        if not select.select([self._controller], [], [], seconds)[0]:
            return False
        data = os.read(self._controller, 65536)
        self.text += data.decode(errors="replace")
        return bool(data)
