"""A progress bar for work that takes more than a moment."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

AFTER_S: Final = 2.0
"""Seconds of work before there is a bar."""


@contextmanager
def shown_if_slow(what: str) -> Iterator[None]:
    """Show a bar on stderr while the context is open, if that takes longer than ``AFTER_S``.

    ``what`` is being done until a step says more. There is no bar if stderr is no terminal.
    """
    if not sys.stderr.isatty():
        yield
        return
    from jepsenvm.cli.bar import shown_after  # noqa: PLC0415 - rich takes long to import

    with shown_after(AFTER_S, what):
        yield
