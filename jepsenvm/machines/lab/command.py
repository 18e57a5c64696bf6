"""Runs one program to its end on this machine."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from jepsenvm import errors
from jepsenvm.errors import CommandError


def run(argv: Sequence[str], *, timeout: float = 60) -> str:
    """Return the output of a program; raise CommandError with its last line of stderr."""
    command = shlex.join(argv)
    try:
        done = subprocess.run(
            argv,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as late:
        raise CommandError(f"no end after {timeout:.0f} s: `{command}`") from late
    if done.returncode != 0:
        raise CommandError(last_line(done.stderr), command=command, status=done.returncode)
    return done.stdout


def last_line(text: str) -> str:
    """Return the last line that is not empty."""
    return errors.last_line(text, "it said nothing")
