"""Following a run: what is read of a log that grows, and the events that are sent."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jepsenvm.serve.follow import FIRST_BYTES, QUIET_POLLS, LogTail, News, State, event, follow
from jepsenvm.workloads.context import OpCounts

GOING_ON: State = {"state": "going on", "verdict": "", "history-bytes": 0}
ENDED: State = {"state": "valid", "verdict": "valid", "history-bytes": 9}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "jepsenvm.log"


def append(log: Path, data: str | bytes) -> None:
    with log.open("ab") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def test_only_whole_lines_are_read(log: Path) -> None:
    tail = LogTail(log, 0)
    assert tail.new_lines() == []
    append(log, "one\ntw")
    assert tail.new_lines() == ["one"]
    assert tail.new_lines() == []
    append(log, "o\n\nthree\n")
    assert tail.new_lines() == ["two", "three"]
    assert tail.position == log.stat().st_size


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(pieces=st.lists(st.sampled_from(["a", "b", "\n", "ä", "\n\n", "long" * 9])))
def test_every_line_is_read_once_however_it_is_written(log: Path, pieces: list[str]) -> None:
    log.write_bytes(b"")
    tail = LogTail(log, 0)
    lines = []
    for byte in "".join(pieces).encode():
        append(log, bytes([byte]))
        lines += tail.new_lines()
    whole = "".join(pieces).rpartition("\n")[0]
    assert lines == [line for line in whole.split("\n") if line]


def test_a_late_reader_gets_the_end_of_the_log(log: Path) -> None:
    append(log, "".join(f"line {number}\n" for number in range(20_000)))
    lines = LogTail.at_the_end(log).new_lines()
    assert lines[-1] == "line 19999"
    assert lines[0].startswith("line ")
    assert FIRST_BYTES // 2 < sum(map(len, lines)) <= FIRST_BYTES
    append(log, "x\n")
    assert LogTail(log, log.stat().st_size - 2).new_lines() == ["x"]


def test_a_short_log_is_read_from_its_beginning(log: Path) -> None:
    append(log, "one\ntwo\n")
    assert LogTail.at_the_end(log).new_lines() == ["one", "two"]


def test_a_log_that_became_shorter_is_another_one(log: Path) -> None:
    append(log, "a long line\n")
    tail = LogTail.at_the_end(log)
    assert tail.new_lines() == ["a long line"]
    log.write_text("new\n")
    assert tail.new_lines() == ["new"]


def test_an_endless_line_is_cut(log: Path) -> None:
    append(log, "x" * 600_000)
    tail = LogTail(log, 0)
    assert set("".join(tail.new_lines() + tail.new_lines())) == {"x"}
    assert tail.position == 2 * (1 << 18)


def test_lines_are_printable(log: Path) -> None:
    append(log, b"\x1b[31mred\x00\xff\n")
    assert LogTail(log, 0).new_lines() == ["\\x1b[31mred\\x00\ufffd"]


@pytest.mark.parametrize("make", ["link", "pipe", "folder"])
def test_what_is_no_file_is_not_read(log: Path, make: str) -> None:
    if make == "link":
        (log.parent / "other").write_text("secret\n")
        log.symlink_to(log.parent / "other")
    elif make == "pipe":
        os.mkfifo(log)
    else:
        log.mkdir()
    assert LogTail.at_the_end(log).new_lines() == []


def test_the_counts_of_a_publisher_are_apart() -> None:
    counts = OpCounts(ok=5, failed=1, unknown=2)
    lines = [f"2026-09-21T10:15:00.000Z {counts.line('enqueue n1')}", "2026-09-21T10:15:00.000Z x"]
    news = News.of(lines)
    assert news.tallies == {"enqueue n1": "sent 5, failed 1, unknown 2, total 8"}
    assert news.lines == [lines[1]]


def test_an_event_is_one_line_of_data() -> None:
    assert (
        event("log", {"lines": ["a\nb"]}, 7) == 'event: log\nid: 7\ndata: {"lines": ["a\\nb"]}\n\n'
    )


def events_of(
    tail: LogTail, states: Sequence[State], during: Sequence[Callable[[], None]]
) -> list[tuple[str, Any]]:
    """Return the events while each pause does the next of ``during``; then the client leaves."""
    steps, current = iter(during), iter(states)
    known = [next(current)]

    async def pause() -> bool:
        step = next(steps, None)
        if step is None:
            return False
        step()
        known.append(next(current, known[-1]))
        return True

    async def collected() -> list[str]:
        return [text async for text in follow(tail, lambda: known[-1], pause)]

    return [_parsed(text) for text in asyncio.run(collected())]


def _parsed(text: str) -> tuple[str, Any]:
    if text.startswith(":"):
        return "comment", None
    fields = dict(line.split(": ", 1) for line in text.strip().split("\n"))
    return fields["event"], json.loads(fields["data"])


def test_a_growing_run_is_followed_to_its_verdict(log: Path) -> None:
    append(log, "one\n")
    found = events_of(
        LogTail(log, 0),
        [GOING_ON, GOING_ON, ENDED],
        [lambda: append(log, "two\n"), lambda: append(log, "three\n")],
    )
    assert found == [
        ("log", {"lines": ["one"], "tallies": {}}),
        ("state", GOING_ON),
        ("log", {"lines": ["two"], "tallies": {}}),
        ("log", {"lines": ["three"], "tallies": {}}),
        ("state", ENDED),
        ("end", ENDED),
    ]


def test_a_client_that_left_is_forgotten(log: Path) -> None:
    assert events_of(LogTail(log, 0), [GOING_ON], []) == [("state", GOING_ON)]


def test_a_silent_run_sends_comments(log: Path) -> None:
    nothing = [lambda: None] * (2 * QUIET_POLLS + 1)
    found = events_of(LogTail(log, 0), [GOING_ON], nothing)
    assert found == [("state", GOING_ON), ("comment", None), ("comment", None)]


def test_a_run_with_a_verdict_is_followed_to_the_end_of_its_log(log: Path) -> None:
    append(log, "".join(f"{'x' * 99}\n" for _ in range(6_000)))
    found = events_of(LogTail(log, 0), [ENDED], [])
    lines = [line for name, data in found if name == "log" for line in data["lines"]]
    assert len(lines) == 6_000
    assert found[-1] == ("end", ENDED)
