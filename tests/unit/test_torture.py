"""The measurements of script/torture, on histories with a known gap."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from jepsenvm.experiment.lost_tail import LOST_TAIL
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.units import SECOND
from tests.torture.kills import _has_load, _missing_seconds


def history(folder: Path, lost_tail: int, received: int = 0) -> Path:
    """Return a history of 20 messages, 10 a second; resume found more of them in the queue."""
    ticks = count(step=SECOND // 20)
    file = folder / "history.arrow"
    journal = Journal(file, lambda: next(ticks))
    for value in range(20):
        journal.append("invoke", "enqueue", value, process=0)
        journal.append("ok", "enqueue", value, process=0)
    for value in range(20 + lost_tail + received):
        journal.append("ok", "dequeue", value, process=1)
    for value in range(20, 20 + lost_tail):
        journal.append("invoke", "enqueue", value, process=2)
        journal.append("info", "enqueue", value, process=2, error=LOST_TAIL)
    journal.close()
    return file


@pytest.mark.parametrize(
    ("lost_tail", "received", "seconds"), [(0, 0, 0.0), (3, 0, 0.3), (0, 2, 0.2), (2, 1, 0.3)]
)
def test_messages_that_were_not_recorded_are_missing_history(
    tmp_path: Path, lost_tail: int, received: int, seconds: float
) -> None:
    file = history(tmp_path, lost_tail, received)
    assert _missing_seconds(file, 9.0) == pytest.approx(seconds)


def test_no_more_is_missing_than_the_time_since_the_last_write(tmp_path: Path) -> None:
    assert _missing_seconds(history(tmp_path, 5), 0.1) == 0.1


def test_a_history_without_an_op_of_the_load_has_no_load(tmp_path: Path) -> None:
    assert not _has_load(tmp_path / "history.arrow")
    journal = Journal(tmp_path / "history.arrow", lambda: 0)
    journal.append("info", "start", data={"fault": 1}, process=NEMESIS)
    journal.close()
    assert not _has_load(tmp_path / "history.arrow")
    (tmp_path / "load").mkdir()
    assert _has_load(history(tmp_path / "load", 0))
