"""The notable lines of logs, and their times."""

from __future__ import annotations

import pytest

from jepsenvm.history.units import SECOND
from jepsenvm.report.log_excerpts import lines_between, notable_lines, written_at


@pytest.mark.parametrize(
    ("line", "time"),
    [
        ("2026-11-25 14:03:11.500000+00:00 [info] <0.1.0> x", 1795615391.5),
        ("2026-11-25 16:03:11.500+02:00 [info] x", 1795615391.5),
        ("2026-11-25T14:03:11.500Z x", 1795615391.5),
        ("2026-11-25 14:03:11.500 [info] <0.1.0> x", 1795615391.5),
        ("2026-11-25 14:03:11 x", 1795615391.0),
        ("2026-13-45 14:03:11 x", None),
        ("  ** Reason for termination", None),
        ("", None),
    ],
)
def test_when_a_line_was_written(line: str, time: float | None) -> None:
    assert written_at(line) == time


def line(second: int, text: str, level: str = "info") -> str:
    return f"1970-01-01 00:01:{second:02}.000+00:00 [{level}] <0.1.0> {text}\n"


def test_notable_lines_of_all_nodes_by_time() -> None:
    logs = {
        "n2": [line(5, "accepting AMQP connection"), line(9, "rabbit on node rabbit@n1 down")],
        "n1": [line(7, "something", "warning"), "** Reason for termination\n"],
    }
    found = notable_lines(logs, 60.0)
    assert [(entry.node, entry.time) for entry in found] == [("n1", 7 * SECOND), ("n2", 9 * SECOND)]
    assert found[0].text.endswith("something")


def test_json_and_abbreviated_levels_are_understood() -> None:
    logs = {
        "n1": [
            '{"time": "1970-01-01 00:01:02.000+00:00", "level": "error", "msg": "boom"}\n',
            line(3, "boom", "ERR"),
        ]
    }
    assert [entry.time for entry in notable_lines(logs, 60.0)] == [2 * SECOND, 3 * SECOND]


def test_control_characters_are_escaped_and_long_lines_cut() -> None:
    (entry,) = notable_lines({"n1": [line(1, "\x1b[2J" + "x" * 999, "error")]}, 60.0)
    assert r"\x1b[2J" in entry.text
    assert len(entry.text) == 300


def test_few_of_many_lines_are_the_first_and_the_last() -> None:
    logs = {"n1": [line(second, "down: node a down") for second in range(60)]}
    lines = notable_lines(logs, 60.0)
    times = [entry.time // SECOND for entry in lines_between(lines, 10 * SECOND, 30 * SECOND, 4)]
    assert times == [10, 11, 29, 30]
    assert len(notable_lines(logs, 60.0, most=7)) == 7
