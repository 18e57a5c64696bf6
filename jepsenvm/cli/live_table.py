"""Draws a live view: the phase, the faults in force, and a line for each node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jepsenvm.cli.live_state import Row, View
from jepsenvm.errors import printable_line
from jepsenvm.steps import Step

_MINUTE: Final = 60


def drawn(view: View) -> RenderableType:
    """Return a view for a console. Texts of hosts and plans are no markup, and stay in one line."""
    lines: list[RenderableType] = [_line(_header(view), "bold")]
    lines += [_line(fault, "red") for fault in view.faults]
    if view.rows:
        lines.append(_table(view.rows))
    return Group(*lines)


def _header(view: View) -> str:
    parts = [view.title] if view.title else []
    parts.append(f"{view.phase} {_duration(view.elapsed_s)}{_left(view)}")
    if view.step is not None:
        parts.append(step_text(view.step))
    return " | ".join(parts)


def _left(view: View) -> str:
    if view.left_s is None:
        return ""
    at_most = "at most " if view.is_limit else ""
    return f", {at_most}{_duration(view.left_s)} left"


def step_text(step: Step) -> str:
    """Return how far some work is."""
    return step.what if step.total is None else f"{step.what}: {step.done:,} of {step.total:,}"


def _table(rows: tuple[Row, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("node", no_wrap=True, overflow="ellipsis")
    for name in ("connected", "acknowledged/s", "p99"):
        table.add_column(name, justify="right", no_wrap=True, overflow="ellipsis")
    table.add_column("state", no_wrap=True, overflow="ellipsis")
    for row in rows:
        style = "green" if row.is_good else "yellow"
        table.add_row(*map(_line, _cells(row)), _line(row.state, style))
    return table


def _cells(row: Row) -> Iterator[str]:
    yield row.node
    yield f"{row.clients.connected} of {row.clients.connected + row.clients.connecting}"
    yield f"{row.rate:,.0f}"
    yield "-" if row.p99_s is None else _milliseconds(row.p99_s)


def _milliseconds(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:,.0f} ms"


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"


def _line(text: str, style: str = "") -> Text:
    return Text(printable_line(text), style=style, no_wrap=True, overflow="ellipsis")
