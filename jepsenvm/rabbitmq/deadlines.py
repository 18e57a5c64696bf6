"""Deadlines of many futures with one timer: a timer for each would cost as much as its message."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any


class Deadlines:
    """Lets futures time out in the order in which they were added.

    The timeouts of one object must be equal: a shorter one after a longer one comes late.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, future: asyncio.Future[Any], timeout: float) -> None:
        """Let a future raise TimeoutError if it is not done within ``timeout`` seconds."""
        waiting, loop = self._waiting, future.get_loop()
        while waiting and waiting[0][1].done():
            waiting.popleft()
        due = loop.time() + timeout
        waiting.append((due, future))
        if self._timer is None:
            self._timer = loop.call_at(due, self._sweep)

    def _sweep(self) -> None:
        """Let the futures raise TimeoutError that are due, and wait for the next one."""
        waiting, self._timer = self._waiting, None
        while waiting:
            due, future = waiting[0]
            loop = future.get_loop()
            if not future.done():
                if due > loop.time():
                    self._timer = loop.call_at(due, self._sweep)
                    return
                future.set_exception(TimeoutError())
            waiting.popleft()
