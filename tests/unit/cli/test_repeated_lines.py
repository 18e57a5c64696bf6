"""Lines about connections that are lost again and again are summarised, and none is forgotten."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.cli.repeated_lines import WINDOW_S, RepeatedLines
from jepsenvm.workloads.connection_log import ConnectionEvent

LOST = ConnectionEvent("n1: connection lost", "reset by peer")


def test_the_first_line_is_printed_and_repeats_are_summarised() -> None:
    repeated = RepeatedLines()
    assert list(repeated.lines(LOST, 100.0)) == ["n1: connection lost: reset by peer"]
    for second in range(1, 6):
        assert list(repeated.lines(LOST, 100.0 + second)) == []
    assert list(repeated.lines(LOST._replace(reason="timed out"), 106.0)) == []
    assert list(repeated.due(109.9)) == []
    assert list(repeated.due(110.0)) == [
        "n1: connection lost 6 more times in 10 s, the last: timed out"
    ]
    # It still repeats: the next summary follows after another window.
    assert list(repeated.lines(LOST, 111.0)) == []
    assert list(repeated.due(120.0)) == [
        "n1: connection lost once more in 10 s, the last: reset by peer"
    ]
    # A quiet window ends the summaries, and the next line is printed at once.
    assert list(repeated.due(130.0)) == []
    assert list(repeated.lines(LOST, 131.0)) == ["n1: connection lost: reset by peer"]


def test_subjects_are_apart() -> None:
    repeated = RepeatedLines()
    other = ConnectionEvent("n2: connected again")
    assert list(repeated.lines(LOST, 0.0)) == [LOST.line()]
    assert list(repeated.lines(other, 0.0)) == ["n2: connected again"]
    assert list(repeated.lines(other, 1.0)) == []
    assert list(repeated.rest(2.0)) == ["n2: connected again once more in 2 s"]
    assert list(repeated.rest(3.0)) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, WINDOW_S)), max_size=60))
def test_every_line_is_printed_or_counted(events: list[tuple[str, float]]) -> None:
    repeated, now, printed = RepeatedLines(), 0.0, list[str]()
    for subject, later in events:
        now += later
        printed += repeated.due(now)
        printed += repeated.lines(ConnectionEvent(subject, "why"), now)
    printed += repeated.rest(now)
    counted = 0
    for line in printed:
        times = re.search(r"(\d+) more times", line)
        counted += int(times[1]) if times else 1
    assert counted == len(events)
