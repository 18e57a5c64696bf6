"""Steps of work that takes more than a moment, for a progress bar.

The packages report steps with ``report``, to a logger of their own. Only the command line listens,
and only on a terminal.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

_LOGGER: Final = logging.getLogger("jepsenvm.steps")
_ATTRIBUTE: Final = "step"

T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """How far some work is."""

    what: str
    """What is being done, such as ``collecting logs``."""
    done: int = 0
    total: int | None = None
    """None if nobody knows how much there is to do."""


def report(what: str, done: int = 0, total: int | None = None) -> None:
    """Report how far some work is, to whoever listens."""
    if _LOGGER.handlers:
        _LOGGER.info(what, extra={_ATTRIBUTE: Step(what, done, total)})


def each(what: str, items: Iterable[T], total: int | None = None) -> Iterator[T]:
    """Yield the items, and report how many of them are done."""
    done = 0
    for item in items:
        report(what, done, total)
        yield item
        done += 1
    report(what, done, total)


@contextmanager
def listening(listener: Callable[[Step], None]) -> Iterator[None]:
    """Call a listener with each step while the context is open. Any thread may call it."""
    handler = _Handler(listener)
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, listener: Callable[[Step], None]) -> None:
        super().__init__()
        self._listener = listener

    def emit(self, record: logging.LogRecord) -> None:
        self._listener(getattr(record, _ATTRIBUTE))
