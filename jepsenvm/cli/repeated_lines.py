"""Summarises lines that repeat, such as those about connections that are lost again and again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jepsenvm.workloads.connection_log import ConnectionEvent

WINDOW_S: Final = 10.0
"""Seconds for which lines of one subject are counted after the first of them was printed."""


@dataclass
class _Window:
    began: float
    repeats: int = 0
    last: str = ""
    """The reason of the last repeat."""


class RepeatedLines:
    """Lets the first line of a subject through, and counts those that follow soon.

    A subject that repeats gets one line for each ``WINDOW_S``. All times are in seconds of the same
    clock. Nothing is ever dropped: a line is printed or counted in a summary.
    """

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def lines(self, event: ConnectionEvent, now: float) -> Iterator[str]:
        """Yield the lines to print for an event: its own line, or none if it repeats."""
        window = self._windows.get(event.subject)
        if window is None:
            self._windows[event.subject] = _Window(now)
            yield event.line()
            return
        window.repeats += 1
        window.last = event.reason

    def due(self, now: float) -> Iterator[str]:
        """Yield the summaries of windows that have passed."""
        for subject, window in list(self._windows.items()):
            if now - window.began < WINDOW_S:
                continue
            if window.repeats:
                yield _summary(subject, window, now)
                self._windows[subject] = _Window(now)
            else:
                del self._windows[subject]

    def rest(self, now: float) -> Iterator[str]:
        """Yield the summaries of all windows, at the end."""
        for subject, window in self._windows.items():
            if window.repeats:
                yield _summary(subject, window, now)
        self._windows.clear()


def _summary(subject: str, window: _Window, now: float) -> str:
    last = f", the last: {window.last}" if window.last else ""
    times = "once more" if window.repeats == 1 else f"{window.repeats:,} more times"
    return f"{subject} {times} in {now - window.began:.0f} s{last}"
