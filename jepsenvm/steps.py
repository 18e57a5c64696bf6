"""Steps of work that takes more than a moment, for a progress bar.

The packages report steps, and the command line listens on a terminal. A step that nobody hears
costs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

MOVING: Final[Mapping[str, bool]] = {"is_moving": True}
"""The ``extra`` of log lines that only say how far some work is. A bar or a view replaces them."""


@dataclass(frozen=True)
class Step:
    """How far some work is."""

    what: str
    """What is being done, such as ``collecting logs``."""
    done: int = 0
    total: int | None = None
    """None if nobody knows how much there is to do."""


Listener = Callable[[Step], None]

_listeners: Final[list[Listener]] = []


def is_heard() -> bool:
    """Return whether anybody listens. Counting what there is to do is worth it only then."""
    return bool(_listeners)


def report(what: str, done: int = 0, total: int | None = None) -> None:
    """Report how far some work is, to whoever listens."""
    # A copy, because another thread may begin or end to listen.
    for listener in _listeners.copy():
        listener(Step(what, done, total))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call a listener with each step while the context is open. Any thread may call it."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def is_still(record: logging.LogRecord) -> bool:
    """Return whether a log record has something to say beside how far some work is."""
    return not any(getattr(record, name, False) for name in MOVING)
