"""The journal: ops are written as they happen and can be read after a crash."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Verdict, check
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
