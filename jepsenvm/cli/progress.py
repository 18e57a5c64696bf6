"""Progress of a command, printed line by line.

The packages below report progress to the loggers under ``jepsenvm``. Only the command line attaches
handlers to them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import click

from jepsenvm.errors import printable_line

LOGGER: Final = logging.getLogger("jepsenvm")


class PlainHandler(logging.Handler):
    """Prints each line, to stderr if ``err`` is True."""

    def __init__(self, *, err: bool = False) -> None:
        super().__init__()
        self._err = err

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line. A line that cannot be written must not end the command."""
        with suppress(OSError):
            click.echo(printable_line(record.getMessage()), err=self._err)


@contextmanager
def shown(handler: logging.Handler, *, alone: bool = False) -> Iterator[None]:
    """Send progress to a handler while the context is open; ``alone`` pauses the other handlers."""
    LOGGER.setLevel(logging.INFO)
    before = list(LOGGER.handlers)
    LOGGER.handlers[:] = [handler] if alone else [*before, handler]
    try:
        yield
    finally:
        LOGGER.handlers[:] = before
