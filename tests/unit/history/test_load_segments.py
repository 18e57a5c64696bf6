"""Segments of load processes: a run is complete only with each of them, whole and its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

import pytest

from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Verdict, check
from jepsenvm.errors import UsageError
from jepsenvm.history.arrow_file import open_arrow
from jepsenvm.history.journal import Journal
from jepsenvm.history.load_segments import (
    LOAD_SEGMENTS,
    about_load_segments,
    load_segment_files,
    new_load_segments,
)
from jepsenvm.history.op import Op
from jepsenvm.history.open_ops import open_ops
from jepsenvm.history.readers import open_history
from jepsenvm.history.segments import next_segment, record_sizes
from jepsenvm.history.table import from_ops

PROCESSES = 2


def record(folder: Path, *, cut_short: int | None = None) -> Path:
    """Record a run with two load processes, each with one message; return its first segment.

    The segment of the process with the number ``cut_short`` is never closed.
    """
    folder.mkdir(exist_ok=True)
    clock = count()
    segments = new_load_segments(PROCESSES)
    first = folder / "history.arrow"
    about = {"plan": "workload: queue\n", **about_load_segments(segments)}
    main = Journal(first, clock.__next__, about=about)
    load = [Journal(folder / each.name, clock.__next__, about=each.about) for each in segments]
    for type_ in ("invoke", "ok"):
        for value, journal in enumerate(load):
            journal.append(type_, "enqueue", value, process=value, node=f"n{value}")
    for number, journal in enumerate(load, 1):
        if number == cut_short:
            journal.flush()
        else:
            journal.close()
    main.append("invoke", "drain", process=9)
    for value in range(PROCESSES):
        main.append("ok", "dequeue", value, process=10, node="n0")
    main.append("ok", "drain", process=9, data={"received": PROCESSES})
    main.close()
    return first


def verdict(first: Path) -> Verdict:
    return check(open_history(first), {"total-queue": total_queue}).verdict


def test_a_run_with_load_processes_is_one_history(tmp_path: Path) -> None:
    first = record(tmp_path / "run")
    history = open_history(first)
    assert (history.complete, history.damage) == (True, None)
    assert history.plan == "workload: queue\n"
    assert [(op.type, op.f, op.value) for op in history.ops()] == [
        *(("invoke", "enqueue", 0), ("invoke", "enqueue", 1)),
        *(("ok", "enqueue", 0), ("ok", "enqueue", 1)),
        *(("invoke", "drain", None), ("ok", "dequeue", 0), ("ok", "dequeue", 1)),
        ("ok", "drain", None),
    ]
    assert verdict(first) is Verdict.VALID


def test_a_moved_run_keeps_its_segments(tmp_path: Path) -> None:
    record(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    (tmp_path / "moved" / "history.arrow").rename(tmp_path / "moved" / "other.arrow")
    assert verdict(tmp_path / "moved" / "other.arrow") is Verdict.VALID


def second(first: Path) -> Path:
    return first.with_name("history-load-2.arrow")


def missing(first: Path) -> None:
    second(first).unlink()


def foreign(first: Path) -> None:
    other = record(first.parent / "other")
    shutil.copy(second(other), second(first))


def duplicated(first: Path) -> None:
    shutil.copy(first.with_name("history-load-1.arrow"), second(first))


def exchanged(first: Path) -> None:
    one, two = first.with_name("history-load-1.arrow"), second(first)
    contents = one.read_bytes(), two.read_bytes()
    two.write_bytes(contents[0])
    one.write_bytes(contents[1])


def damaged(first: Path) -> None:
    content = bytearray(second(first).read_bytes())
    content[-100] ^= 1
    second(first).write_bytes(content)


def empty(first: Path) -> None:
    second(first).write_bytes(b"")


def a_folder(first: Path) -> None:
    second(first).unlink()
    second(first).mkdir()


def a_copy_of_the_first(first: Path) -> None:
    shutil.copy(first, second(first))


DAMAGES: Mapping[Callable[[Path], None], str] = {
    missing: "history-load-2.arrow, which a load process wrote, is missing",
    foreign: "history-load-2.arrow is not the file that the run's load process wrote",
    duplicated: "history-load-2.arrow is not the file that the run's load process wrote",
    exchanged: "history-load-1.arrow is not the file that the run's load process wrote",
    damaged: "history-load-2.arrow: at byte",
    empty: "history-load-2.arrow: not a history of jepsenvm",
    a_folder: "history-load-2.arrow, which a load process wrote, is missing",
    a_copy_of_the_first: "history-load-2.arrow is not the file that the run's load process wrote",
}


@pytest.mark.parametrize("harm", DAMAGES, ids=lambda harm: harm.__name__)
def test_a_run_without_one_of_its_segments_has_no_verdict(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    first = record(tmp_path / "run")
    harm(first)
    history = open_history(first)
    assert DAMAGES[harm] in str(history.damage)
    assert not history.complete
    list(history.ops())
    # Without its enqueue, the second message looks as if nobody had sent it.
    assert verdict(first) is Verdict.UNKNOWN


def test_every_cut_of_a_segment_is_noticed(tmp_path: Path) -> None:
    first = record(tmp_path / "run")
    whole = second(first).read_bytes()
    for size in range(0, len(whole), 7):
        second(first).write_bytes(whole[:size])
        assert not open_history(first).complete, size
        assert verdict(first) is Verdict.UNKNOWN, size


def test_a_killed_process_whose_size_was_recorded(tmp_path: Path) -> None:
    first = record(tmp_path / "run", cut_short=2)
    assert not open_history(first).complete
    record_sizes(first, [second(first)])
    assert open_history(first).complete
    assert verdict(first) is Verdict.VALID
    content = second(first).read_bytes()
    second(first).write_bytes(content[:-1])
    assert not open_history(first).complete
    second(first).write_bytes(content + b"x")
    assert not open_history(first).complete


def test_a_size_is_recorded_once(tmp_path: Path) -> None:
    first = record(tmp_path / "run", cut_short=2)
    record_sizes(first, [second(first)])
    second(first).write_bytes(second(first).read_bytes()[:-1])
    next_segment(first)
    assert not open_history(first).complete


def test_a_run_that_was_killed_and_resumed(tmp_path: Path) -> None:
    first = record(tmp_path / "run", cut_short=1)
    first.write_bytes(first.read_bytes()[:-8])  # without its end mark
    assert "history-load-1.arrow is cut short" in str(open_history(first).damage)
    third = Journal(next_segment(first), count(1000).__next__)
    third.append("info", "recover", process=-1)
    third.close()
    history = open_history(first)
    assert (history.complete, history.damage) == (True, None)
    assert [op.f for op in history.ops()][-1] == "recover"
    assert len(list(history.ops())) == 9
    second(first).write_bytes(second(first).read_bytes()[:-8])
    assert not open_history(first).complete


def test_a_killed_process_of_a_run_that_was_killed_too(tmp_path: Path) -> None:
    first = record(tmp_path / "run", cut_short=2)
    record_sizes(first, [second(first)])
    first.write_bytes(first.read_bytes()[:-8])
    # The run did not get to record what its load process had not recorded.
    assert "history-load-2.arrow is cut short" in str(open_history(first).damage)
    assert verdict(first) is Verdict.UNKNOWN


def test_a_segment_alone_is_refused(tmp_path: Path) -> None:
    first = record(tmp_path / "run")
    with pytest.raises(UsageError, match=r"only a part of a history.*give history\.arrow"):
        open_history(second(first))
    renamed = second(first).rename(tmp_path / "history.arrow")
    with pytest.raises(UsageError, match="only a part of a history"):
        open_history(renamed)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", '{"../x.arrow": "id"}', '{"history-load-1.arrow": 1}', "[" * 9999]
)
def test_a_list_that_no_run_wrote_is_refused(tmp_path: Path, text: str) -> None:
    journal = Journal(tmp_path / "history.arrow", count().__next__, about={LOAD_SEGMENTS: text})
    journal.close()
    with pytest.raises(UsageError, match="its list of segments"):
        open_history(tmp_path / "history.arrow")


def test_the_files_of_load_processes_in_their_order(tmp_path: Path) -> None:
    for name in ("10", "2", "1", "0", "x"):
        (tmp_path / f"history-load-{name}.arrow").touch()
    first = tmp_path / "history.arrow"
    assert [path.name for path in load_segment_files(first)] == [
        f"history-load-{number}.arrow" for number in (1, 2, 10)
    ]


def test_the_ops_in_flight(tmp_path: Path) -> None:
    history = from_ops(
        [
            Op("invoke", "enqueue", 1, 1, 0, "n1"),
            Op("invoke", "enqueue", 2, 2, 1, "n2"),
            Op("info", "start", None, -1, 2),
            Op("ok", "enqueue", 1, 1, 3, "n1"),
            Op("invoke", "dequeue", None, 0, 4, "n2"),
            Op("invoke", "enqueue", 3, 3, 5, "n1"),
            Op("info", "enqueue", 3, 3, 6, "n1"),
        ]
    )
    assert [(op.process, op.f, op.value, op.node) for op in open_ops(history)] == [
        (0, "dequeue", None, "n2"),
        (2, "enqueue", 2, "n2"),
    ]
    assert open_ops(from_ops([])) == []


def test_the_ops_in_flight_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jepsenvm.history.table.CHUNK_ROWS", 1)
    first = record(tmp_path / "run", cut_short=2)
    assert open_ops(open_arrow(second(first))) == []
    journal = Journal(tmp_path / "x.arrow", count().__next__)
    for process, type_ in ((1, "invoke"), (2, "invoke"), (1, "ok")):
        journal.append(type_, "enqueue", process, process=process)  # type: ignore[arg-type]  # of the tuple above
        journal.flush()
    assert [op.process for op in open_ops(open_arrow(tmp_path / "x.arrow"))] == [2]
