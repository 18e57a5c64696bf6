"""The live view as a console shows it: at any width, without colours, and with hostile names."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from jepsenvm.cli.live_state import Row, View
from jepsenvm.cli.live_table import drawn
from jepsenvm.steps import Step
from jepsenvm.workloads.clients import ClientCounts

ROWS = (
    Row("n1", ClientCounts(4, 0), 1234.4, 0.0123, "serving", is_good=True),
    Row("n2", ClientCounts(0, 4), 0.0, None, "kill", is_good=False),
    Row("n3", ClientCounts(3, 1), 7.0, 0.0042, "with n1", is_good=True),
)
VIEW = View(
    title="queue, quorum",
    phase="load",
    elapsed_s=42.7,
    left_s=137.2,
    is_limit=False,
    step=None,
    faults=("fault 1: kill {n2} in force, 12 s left",),
    rows=ROWS,
)


def text(view: View, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, record=True, highlight=False, soft_wrap=True)
    console.print(drawn(view))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_view_at_80_columns() -> None:
    assert text(VIEW) == [
        "queue, quorum | load 42 s, 2 min 17 s left",
        "fault 1: kill {n2} in force, 12 s left",
        "node  connected  acknowledged/s     p99  state",
        "n1       4 of 4           1,234   12 ms  serving",
        "n2       0 of 4               0       -  kill",
        "n3       3 of 4               7  4.2 ms  with n1",
    ]


def test_a_phase_with_a_limit_and_a_step() -> None:
    view = View("", "collect", 1.0, 60.0, True, Step("collecting logs", 2, 5), (), ())
    assert text(view) == ["collect 1 s, at most 60 s left | collecting logs: 2 of 5"]
    unknown = View("", "check", 1.0, None, True, Step("checking total-queue"), (), ())
    assert text(unknown) == ["check 1 s | checking total-queue"]


@pytest.mark.parametrize("width", [10, 20, 40, 79, 80, 200])
def test_no_line_is_wider_than_the_terminal_or_wraps(width: int) -> None:
    long = Row("node-" * 30, ClientCounts(1, 0), 1e9, 1000.0, "partition " * 20, is_good=False)
    view = View("title " * 30, "load", 1.0, 9.0, False, None, ("fault " * 60,), (*ROWS, long))
    lines = text(view, width)
    assert len(lines) == 2 + 1 + 4
    assert max(map(len, lines)) <= width


HOSTILE = "[red]n1[/] \x1b[2J\u202e\n"


def test_hostile_texts_stay_text() -> None:
    row = Row(HOSTILE, ClientCounts(1, 0), 1.0, None, HOSTILE, is_good=False)
    view = View(HOSTILE, "load", 1.0, 9.0, False, Step(HOSTILE), (HOSTILE,), (row,))
    lines = text(view, 300)
    assert len(lines) == 4
    escaped = "[red]n1[/] \\x1b[2J\\u202e\\n"
    assert [line.count(escaped) for line in lines] == [2, 1, 0, 2]


def test_no_color_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=True, color_system="truecolor").print(drawn(VIEW))
    assert "\x1b[3" not in out.getvalue()
    monkeypatch.delenv("NO_COLOR")
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=True, color_system="truecolor").print(drawn(VIEW))
    assert "\x1b[3" in out.getvalue()
