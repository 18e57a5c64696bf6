"""Log excerpts: the notable lines of the brokers' logs, placed in the time of the run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from jepsenvm.checkers.broker_logs import PATTERNS
from jepsenvm.checkers.log_lines import forms
from jepsenvm.errors import printable_line, shorten
from jepsenvm.history.units import SECOND

LINE_CHARACTERS: Final = 300
"""At most this many characters of a line are shown."""

MOST_KEPT: Final = 50_000
"""At most this many notable lines of all nodes are kept, the first ones of each node."""

_TIME: Final = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?)\d*(?P<zone>Z|[+-]\d\d:?\d\d)?"
)

NOTABLE: Final = re.compile(
    "|".join(
        [
            *PATTERNS.values(),
            r"\[(warning|critical|alert|emergency)\]",
            r"[Ll]eader|elect|[Mm]irror|[Ss]lave|[Pp]romot|[Pp]artition|nodedown|nodeup"
            r"|node \S+ (up|down)|Starting RabbitMQ|Server startup complete|[Ss]hutting down"
            r"|Stopping RabbitMQ|[Mm]aintenance|discard|truncat|corrupt|recover",
        ]
    )
)
"""What the report shows of a log. Lines about single connections and channels are not notable."""


@dataclass(frozen=True)
class LogLine:
    """One line of a node's log."""

    node: str
    time: int
    """Nanoseconds since the run began, by the clock of the node."""
    text: str


def notable_lines(
    logs: Mapping[str, Iterable[str]], began: float, *, most: int = MOST_KEPT
) -> list[LogLine]:
    """Return the notable lines of all nodes, by time.

    ``began`` is the time at which the history begins, in seconds of the controller's wall clock.
    A line without a time is part of a report that began before it, and is left out.
    """
    share = most // max(1, len(logs))
    lines = [
        line for node, texts in logs.items() for line in _first(share, _notable(node, texts, began))
    ]
    return sorted(lines, key=lambda line: (line.time, line.node))


def _first(count: int, lines: Iterable[LogLine]) -> Iterator[LogLine]:
    for _, line in zip(range(count), lines, strict=False):
        yield line


def _notable(node: str, texts: Iterable[str], began: float) -> Iterator[LogLine]:
    for text in texts:
        usual = list(forms(text))[-1]
        if not NOTABLE.search(usual):
            continue
        time = written_at(usual)
        if time is not None:
            offset = round((time - began) * SECOND)
            yield LogLine(node, offset, shorten(printable_line(usual.strip()), LINE_CHARACTERS))


def written_at(line: str) -> float | None:
    """Return when a line was written, as seconds since 1970; None if it does not begin with a time.

    A time without a zone, as RabbitMQ 3.8 writes it, is read as UTC.
    """
    match = _TIME.match(line)
    if match is None:
        return None
    zone = (match["zone"] or "+00:00").replace("Z", "+00:00")
    try:
        time = datetime.fromisoformat(match["time"].replace(" ", "T") + zone)
    except ValueError:
        return None
    return time.astimezone(UTC).timestamp()


def lines_between(lines: Sequence[LogLine], begin: int, end: int, most: int) -> list[LogLine]:
    """Return at most ``most`` lines between two times, the first and the last ones."""
    inside = [line for line in lines if begin <= line.time <= end]
    if len(inside) <= most:
        return inside
    return [*inside[: most - most // 2], *inside[len(inside) - most // 2 :]]
