"""The errors that jepsenvm raises on purpose: one line with the place, the problem and the remedy."""

from __future__ import annotations

from typing import Final

VALUE_WIDTH: Final = 60
"""The most characters of an input that an error message repeats."""


def shorten(text: str, width: int = VALUE_WIDTH) -> str:
    """Return a text as one line of at most ``width`` characters."""
    # Only the beginning can be shown. Splitting all of a large input would cost time and memory.
    line = " ".join(text[: 4 * width].split())
    return line if len(line) <= width and len(text) <= 4 * width else f"{line[: width - 3]}..."


def shown(value: object) -> str:
    """Return the ``repr`` of a value, shortened for an error message."""
    return shorten(repr(value))


class JepsenvmError(Exception):
    """An error whose text is one line for the user.

    ``node``, ``command`` and ``status`` say where it happened, and ``remedy`` what to do about it.
    ``exit_status`` is the exit status of the command line.
    """

    exit_status = 255

    def __init__(
        self,
        message: str,
        *,
        node: str | None = None,
        command: str | None = None,
        status: int | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.node = node
        self.command = command
        self.status = status
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.node}: " if self.node else ""
        command = ""
        if self.command and self.status is not None:
            command = f" (`{self.command}` exited {self.status})"
        remedy = f"; {self.remedy}" if self.remedy else ""
        return " ".join(f"{place}{self.message}{command}{remedy}".split())


class UsageError(JepsenvmError):
    """Bad usage, bad configuration or unsuitable hosts. Nothing was changed. Exit status 254."""

    exit_status = 254


class RunError(JepsenvmError):
    """A failure after something was changed; faults were healed. Exit status 255."""


class CommandError(RunError):
    """A command on a node or on this machine exited with another status than 0."""


class UnreachableError(RunError):
    """A node did not answer over SSH within its deadline."""
