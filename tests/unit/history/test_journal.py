"""The journal: ops are written as they happen and can be read after a crash."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Verdict, check
from jepsenvm.errors import RunError
from jepsenvm.history.arrow_stream import create_file
from jepsenvm.history.checksums import END_MARK
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.readers import open_history


def new_journal(path: Path) -> Journal:
    """Return a journal with a clock that counts from 0."""
    return Journal(path, clock=count().__next__)


def test_appended_ops_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "history.arrow"
    journal = new_journal(path)
    journal.append("invoke", "enqueue", 7, process=1, node="n1")
    journal.flush()
    journal.append("info", "enqueue", 7, process=1, node="n2", error="no confirm")
    journal.append("info", "start", process=NEMESIS, data={"window": 1})
    journal.close()
    history = open_history(path)
    assert list(history.ops()) == [
        Op("invoke", "enqueue", 7, 1, 0, "n1"),
        Op("info", "enqueue", 7, 1, 1, "n2", "no confirm"),
        Op("info", "start", None, NEMESIS, 2, None, None, {"window": 1}),
    ]
    assert history.complete
    assert [op.f for op in history.nemesis_ops()] == ["start"]


def test_a_journal_that_was_never_closed_has_its_flushed_ops_and_is_unknown(
    tmp_path: Path,
) -> None:
    path = tmp_path / "history.arrow"
    journal = new_journal(path)
    for value in range(100):
        journal.append("invoke", "enqueue", value, process=0)
        journal.flush()
    journal.append("invoke", "enqueue", 100, process=0)  # never flushed: lost with the process
    assert list(open_history(path).values("invoke", "enqueue")) == list(range(100))
    assert check(open_history(path), {"total-queue": total_queue}).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("cut", [1, 9, 100, 333])
def test_a_file_torn_within_a_batch_is_read_up_to_that_batch(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "history.arrow"
    journal = new_journal(path)
    for value in range(10):
        journal.append("invoke", "enqueue", value, process=0)
        journal.flush()
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    history = open_history(path)
    values = list(history.values("invoke", "enqueue"))
    assert values == list(range(len(values)))
    assert len(values) >= 8
    assert not history.complete


def test_an_existing_history_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "h.arrow").write_text("precious")
    with pytest.raises(Exception, match="cannot write the history"):
        new_journal(tmp_path / "h.arrow")
    assert (tmp_path / "h.arrow").read_text() == "precious"


def test_offsets_are_read_back(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "history.arrow")
    journal.append("ok", "read", 7, process=1, offset=3)
    journal.append("ok", "read", 8, process=1)
    journal.close()
    assert [(op.value, op.offset) for op in open_history(tmp_path / "history.arrow").ops()] == [
        (7, 3),
        (8, None),
    ]


# Errors in recording are final.


class FaultyFile:
    """A file that fails at some of its writes, and writes at most ``most`` bytes at a time."""

    def __init__(self, path: Path, *, failing: range = range(0), most: int = 1 << 30) -> None:
        self._file: Any = create_file(path)
        self._failing, self._most, self.writes = failing, most, 0

    def write(self, data: memoryview) -> int:
        self.writes += 1
        if self.writes in self._failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return int(self._file.write(data[: self._most]))

    def truncate(self, size: int) -> int:
        return int(self._file.truncate(size))

    def fileno(self) -> int:
        return int(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def faulty_journal(path: Path, **faults: Any) -> Journal:
    return Journal(path, count().__next__, create=lambda path: FaultyFile(path, **faults))


def assert_failed(journal: Journal, path: Path, message: str) -> None:
    """Assert that every use of a journal raises the failure, and that it is never complete."""
    uses: list[Callable[[], object]] = [
        lambda: journal.append("invoke", "enqueue", 9, process=0),
        journal.flush,
        journal.close,
        journal.flush,
    ]
    for use in uses:
        with pytest.raises(RunError, match=message):
            use()
    assert not path.read_bytes().endswith(END_MARK)
    assert not open_history(path).complete


def test_a_disk_that_was_full_for_a_moment_never_gives_a_complete_history(tmp_path: Path) -> None:
    path = tmp_path / "history.arrow"
    journal = faulty_journal(path, failing=range(3, 4))
    journal.append("invoke", "enqueue", 1, process=0)
    journal.flush()
    journal.append("ok", "enqueue", 1, process=0)
    with pytest.raises(RunError, match="No space left"):
        journal.flush()
    assert_failed(journal, path, "No space left")
    assert [op.type for op in open_history(path).ops()] == ["invoke"]


def test_a_batch_that_is_written_in_part_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "history.arrow"
    journal = faulty_journal(path, most=500, failing=range(7, 8))
    journal.append("invoke", "enqueue", 1, process=0)
    journal.flush()
    journal.append("ok", "enqueue", 1, process=0)
    with pytest.raises(RunError, match="No space left"):
        journal.flush()
    assert_failed(journal, path, "No space left")
    assert [op.type for op in open_history(path).ops()] == ["invoke"]


@pytest.mark.parametrize("most", [1, 7, 64])
def test_short_writes_are_continued(tmp_path: Path, most: int) -> None:
    path = tmp_path / "history.arrow"
    journal = faulty_journal(path, most=most)
    for value in range(5):
        journal.append("invoke", "enqueue", value, process=0)
        journal.flush()
    journal.close()
    assert list(open_history(path).values("invoke", "enqueue")) == list(range(5))
    assert open_history(path).complete


@pytest.mark.parametrize(
    "op",
    [
        {"data": {1, 2}},
        {"data": {"a": object()}},
        {"value": 2**63},
        {"value": -(2**63) - 1},
        {"value": "7"},
        {"value": 1.5},
        {"process": 2**63},
        {"offset": 2**64},
        {"type": "maybe"},
    ],
)
def test_an_op_that_cannot_be_recorded_is_a_final_error(tmp_path: Path, op: dict[str, Any]) -> None:
    path = tmp_path / "history.arrow"
    journal = new_journal(path)
    with pytest.raises(RunError, match="cannot write the history"):
        journal.append(**{"type": "invoke", "f": "enqueue", "value": 1, "process": 0, **op})
    assert_failed(journal, path, "cannot write the history")


@pytest.mark.parametrize("op", [{"error": "\ud800"}, {"node": "\ud800"}])
def test_an_op_that_cannot_be_written_is_a_final_error(tmp_path: Path, op: dict[str, Any]) -> None:
    path = tmp_path / "history.arrow"
    journal = new_journal(path)
    journal.append(**{"type": "invoke", "f": "enqueue", "value": 1, "process": 0, **op})
    with pytest.raises(RunError, match="cannot write the history"):
        journal.flush()
    assert_failed(journal, path, "cannot write the history")


@pytest.mark.parametrize("failing", [1, 2])
def test_a_history_that_cannot_be_synced_has_no_end_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    syncs = count(1)

    def fsync(_: int) -> None:
        if next(syncs) == failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    path = tmp_path / "history.arrow"
    journal = new_journal(path)
    journal.append("invoke", "enqueue", 1, process=0)
    with pytest.raises(RunError, match="Input/output error"):
        journal.close()
    assert_failed(journal, path, "Input/output error")


def test_a_closed_journal_records_nothing(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "history.arrow")
    journal.close()
    with pytest.raises(RunError, match="is closed"):
        journal.append("invoke", "enqueue", 1, process=0)


def test_a_journal_carries_what_it_is_about_and_is_an_arrow_stream(tmp_path: Path) -> None:
    path = tmp_path / "history.arrow"
    journal = Journal(path, count().__next__, about={"plan": "workload: queue\n"})
    assert open_history(path).plan == "workload: queue\n"
    journal.append("invoke", "enqueue", 1, process=0, node="n1")
    journal.flush()
    journal.append("ok", "enqueue", 1, process=0, node="n2")
    journal.close()
    assert pa.ipc.open_stream(path.read_bytes()).read_all()["node"].to_pylist() == ["n1", "n2"]
