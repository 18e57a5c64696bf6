"""Server-sent events of a run that is going on, from its own log.

The run does nothing for those who watch it: they read what it writes anyway.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from jepsenvm.errors import printable_line
from jepsenvm.serve.plain_files import open_plain, size_of

POLL_S: Final = 0.5
"""Seconds between two looks at the files of a run."""

QUIET_POLLS: Final = 20
"""After this number of looks without news, a comment shows that the connection lives."""

FIRST_BYTES: Final = 1 << 16
"""A new reader gets at most this much of the end of the log."""

_MOST_BYTES: Final = 1 << 18
"""Bytes that are read of a log at a time. A longer line is cut."""

_TALLY: Final = re.compile(
    r"\S+Z (?P<name>.+) (?P<counts>sent \d+, failed \d+, unknown \d+, total \d+)", re.ASCII
)
"""The counts of a publisher in the log, as ``OpCounts.line`` writes them."""

State = Mapping[str, object]
"""What is known about the run beside its log. The key ``verdict`` is empty until it has one."""


@dataclass
class LogTail:
    """Reads the whole lines that are appended to a log."""

    path: Path
    position: int
    """How many bytes of the log have been read. A reader that lost its connection goes on here."""

    @classmethod
    def at_the_end(cls, path: Path) -> LogTail:
        """Return a tail that begins with the last lines of a log."""
        tail = cls(path, 0)
        file = open_plain(path)
        if file is not None:
            with file:
                tail.position = max(0, size_of(file) - FIRST_BYTES)
                if tail.position:  # probably within a line
                    file.seek(tail.position)
                    tail.position += len(file.readline(_MOST_BYTES))
        return tail

    def new_lines(self) -> list[str]:
        """Return the lines since the last call, printable and without their ends."""
        file = open_plain(self.path)
        if file is None:
            return []
        with file:
            if size_of(file) < self.position:  # another file, or it was cut
                self.position = 0
            file.seek(self.position)
            data = file.read(_MOST_BYTES)
        whole = len(data) if len(data) == _MOST_BYTES else 0
        end = data.rfind(b"\n") + 1 or whole
        self.position += end
        lines = data[:end].decode(errors="replace").split("\n")
        return [printable_line(line) for line in lines if line]


@dataclass
class News:
    """What a look at the log has found."""

    lines: list[str] = field(default_factory=list)
    tallies: dict[str, str] = field(default_factory=dict)
    """The last counts of each publisher, which stand for their lines."""

    @classmethod
    def of(cls, lines: list[str]) -> News:
        """Return the lines of a log with the counts of publishers apart."""
        news = cls()
        for line in lines:
            if match := _TALLY.fullmatch(line):
                news.tallies[match["name"]] = match["counts"]
            else:
                news.lines.append(line)
        return news


async def follow(
    tail: LogTail,
    state: Callable[[], State],
    pause: Callable[[], Awaitable[bool]],
) -> AsyncIterator[str]:
    """Yield server-sent events until the run has a verdict.

    ``state`` returns what is known about the run, and is sent when it changes. ``pause`` waits
    between two looks, and returns whether to go on.
    """
    shown: State | None = None
    quiet = 0
    while True:
        # The state is read first: what was logged before the verdict is then sent before it.
        now = state()
        lines = tail.new_lines()
        quiet += 1
        if lines:
            news = News.of(lines)
            yield event("log", {"lines": news.lines, "tallies": news.tallies}, tail.position)
            quiet = 0
        if now != shown:
            yield event("state", now)
            shown, quiet = now, 0
        if now["verdict"] and not lines:
            yield event("end", now)
            return
        if quiet == QUIET_POLLS:
            yield ": nothing new\n\n"
            quiet = 0
        if not lines and not await pause():
            return


def event(name: str, data: object, position: int | None = None) -> str:
    """Return a server-sent event. JSON has no line ends, so the data are one line."""
    number = "" if position is None else f"id: {position}\n"
    return f"event: {name}\n{number}data: {json.dumps(data)}\n\n"
