"""The life of a message as lines of text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from jepsenvm.errors import printable_line
from jepsenvm.history.units import SECOND
from jepsenvm.report.life import Life


def life_lines(life: Life) -> Iterator[str]:
    """Yield the sentence, and one line for each event, without control characters."""
    yield printable_line(life.sentence)
    nodes = [event.node or "" for event in life.events]
    width = max(map(len, nodes), default=0)
    for event in life.events:
        node = (event.node or "").ljust(width)
        yield printable_line(
            f"  {event.time / SECOND:10.3f} s  {event.source:<6}  {node}  {event.text}"
        )
