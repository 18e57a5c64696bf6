"""Counts the threads in which nodes act, so that the end of a run can wait for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Acting:
    """The threads in which nodes act. They do not wait for each other, only the end waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._threads = 0
        self._ended = False

    @property
    def ended(self) -> bool:
        """Return whether ``end`` was called."""
        return self._ended

    @contextmanager
    def begin(self) -> Iterator[bool]:
        """Act while the context is open. The value is False after the end: nothing may act then."""
        with self._changed:
            allowed = not self._ended
            self._threads += 1
        try:
            yield allowed
        finally:
            with self._changed:
                self._threads -= 1
                self._changed.notify_all()

    def end(self) -> None:
        """Let no other thread begin to act."""
        with self._changed:
            self._ended = True

    def wait(self, seconds: float) -> bool:
        """Return whether no thread acts any more, after some seconds at the latest."""
        until = time.monotonic() + seconds
        with self._changed:
            while self._threads and time.monotonic() < until:
                self._changed.wait(max(0.0, until - time.monotonic()))
            return not self._threads
