"""The errors that jepsenvm raises on purpose. The text of each is one line for the user."""

from __future__ import annotations

import re
from typing import Final

_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible,
    "\U000e0000-\U000e0fff"  # or changing the direction of the text
    "\ud800-\udfff]"  # halves of characters, which have no encoding
)


class JepsenvmError(Exception):
    """An error with one line of text, and the exit status of the command line.

    ``node``, ``command`` and ``status`` name the node, the command that failed there and the exit
    status of that command. ``remedy`` says what to do about the error.
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
        prefix = f"{self.node}: " if self.node else ""
        has_status = self.command is not None and self.status is not None
        origin = f" (`{self.command}` exited {self.status})" if has_status else ""
        suffix = f"; {self.remedy}" if self.remedy else ""
        return printable(" ".join(f"{prefix}{self.message}{origin}{suffix}".split()))


class UsageError(JepsenvmError):
    """Bad usage, bad configuration or an unsuitable host. Nothing was changed. Exit status 254."""

    exit_status = 254


class RunError(JepsenvmError):
    """A failure after something was changed. Exit status 255."""


class CommandError(RunError):
    """A command, on a node or on this machine, exited with a status other than 0."""


class UnreachableError(RunError):
    """A node did not answer over SSH within the deadline."""


MALFORMED: Final = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""The errors of code that reads JSON of another shape than it expects."""


def message_of(error: Exception) -> str:
    """Return an error's text without its node, command and remedy."""
    return error.message if isinstance(error, JepsenvmError) else str(error)


def shorten(value: object, limit: int = 60) -> str:
    """Return a value as one line of at most ``limit`` characters, for an error message.

    A longer text ends with ``...``.
    """
    text = printable(" ".join(str(value).split()))
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def shown(value: object) -> str:
    """Return the ``repr`` of a value, shortened for an error message."""
    try:
        return shorten(repr(value))
    except ValueError:  # a number of more than 4,300 digits
        return "a very long number"
    except RecursionError:
        return "a deeply nested value"


def last_line(text: str, default: str = "") -> str:
    """Return the last line that is not blank, where most programs print why they failed.

    ``default`` if there is none.
    """
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else default


def printable(text: object) -> str:
    """Return a text without characters that control a terminal or hide text; newlines stay.

    Each is written as its escape sequence in Python, such as ``\\x1b``.
    """
    return _UNPRINTABLE.sub(_escaped, str(text))


def printable_line(text: object) -> str:
    """Return a text as ``printable`` does, with newlines escaped too, so that it is one line."""
    return printable(text).replace("\n", "\\n")


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
