"""What is done by hand reaches the history of the run that is going on, whole lines only, each
once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.checkers.fault_intervals import fault_intervals
from jepsenvm.history.journal import Journal
from jepsenvm.history.readers import open_history
from jepsenvm.nemesis.faults.partition import Partition
from jepsenvm.nemesis.grudge import complete_grudge
from jepsenvm.nemesis.manual import SPOOL, Spool, spooled
from jepsenvm.nemesis.records import FaultRecord, journaled
from jepsenvm.nemesis.registry import fault_from_data

FAULT = Partition(
    name="partition",
    text="n1 | n2",
    nodes=("n1", "n2"),
    grudge=complete_grudge([["n1"], ["n2"]]),
)
NOTE = FaultRecord(
    "start", "in-force", 100_001, FAULT.as_data(), {"before": {}}, None, {"n1": 10.0, "n2": 10.004}
)


def test_notes_are_read_once_and_only_when_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert list(spool.new()) == []
    spooled(tmp_path)(NOTE)
    with (tmp_path / SPOOL).open("a") as file:
        file.write('{"f": "st')
    assert list(spool.new()) == [NOTE]
    assert list(spool.new()) == []


def test_a_fault_comes_back_from_its_data() -> None:
    assert fault_from_data(NOTE.fault) == FAULT


def test_without_a_run_nothing_is_kept() -> None:
    spooled(None)(NOTE)


def test_skew_and_times_in_the_history(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "history.arrow", lambda: 5_000_000_000)
    journaled(journal)(NOTE)
    journal.close()
    (window,) = fault_intervals(open_history(tmp_path / "history.arrow"))
    assert window.skew_ms == pytest.approx(4.0, abs=0.1)
    assert window.number == 100_001


_CHANGES: list[dict[str, Any]] = [
    {"number": 1},
    {"number": "100001"},
    {"number": None},
    {"fault": {}},
    {"fault": {"kind": "nothing"}},
    {"fault": {**FAULT.as_data(), "grudge": 7}},
    {"proof": {"before": 7}},
    {"proof": None},
    {"fired": {"n1": "soon"}},
    {"fired": None},
    {"f": "drain"},
    {"phase": 7},
    {"error": {}},
    {"more": 1},
]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"7",
        b"[" * 100_000,
        b'{"f": "start"}',
        *(json.dumps({**NOTE.as_data(), **change}).encode() for change in _CHANGES),
    ],
)
def test_a_line_that_is_no_record_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: bytes
) -> None:
    caplog.set_level("INFO")
    with (tmp_path / SPOOL).open("ab") as file:
        file.write(line + b"\n")
    spooled(tmp_path)(NOTE)
    spool = Spool(tmp_path)
    assert list(spool.new()) == [NOTE]
    assert list(spool.new()) == []
    assert ["was not understood" in text for text in caplog.messages] == [True]
    assert len(caplog.messages[0]) < 200
