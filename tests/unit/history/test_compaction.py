"""Compaction: the same ops in less space, and a whole history at every moment."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Verdict, check
from jepsenvm.experiment.judge import judge
from jepsenvm.history import compact, compaction, table
from jepsenvm.history.arrow_file import read_arrow
from jepsenvm.history.arrow_stream import create_file
from jepsenvm.history.checksums import COMPACT, VERSION
from jepsenvm.history.compaction import compact_run
from jepsenvm.history.journal import Journal
from jepsenvm.history.load_segments import about_load_segments, new_load_segments
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.readers import open_history
from jepsenvm.history.segments import next_segment
from jepsenvm.history.table import History
from tests.fuzz.runs import PLANS, stored_ops, write_run
from tests.report_runs import append_op

COLUMNS = ("time", "type", "process", "f", "value", "has_value", "offset", "node", "has_data")
NARROW = ("type", "process", "f", "value", "node", "time")


def columns_of(history: History) -> dict[str, list[Any]]:
    """Return the columns of a history, with the texts as lists of each chunk."""
    chunks = list(history)
    columns = {
        name: [item for chunk in chunks for item in getattr(chunk, name).tolist()]
        for name in COLUMNS
    }
    for name in ("error", "data"):
        columns[name] = [item for chunk in chunks for item in chunk.read(name)]
    return columns


def recorded(path: Path, *, closed: bool = True) -> Path:
    """Record a small run with a lost message, in batches of a few rows."""
    journal = Journal(path, count().__next__, about={"plan": "workload: queue\n"})
    journal.append("info", "schedule", process=NEMESIS, data=[])
    for value in range(6):
        for type_ in ("invoke", "ok"):
            journal.append(type_, "enqueue", value, process=value % 2, node=f"n{value}")
        journal.flush()
    journal.append("invoke", "drain", process=9)
    for value in range(1, 6):
        journal.append("ok", "dequeue", value, process=10, node="n1")
    journal.append("ok", "drain", process=9, data={"received": 5})
    if closed:
        journal.close()
    else:
        journal.flush()
    return path


def verdict(path: Path) -> Verdict:
    return check(open_history(path), {"total-queue": total_queue}).verdict


def version(path: Path) -> bytes:
    return read_arrow(path).version


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# The same ops.

FAR = [0, 1, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**40, 2**63 - 1, -(2**63)]
NUMBERS = st.one_of(st.integers(-5, 5), st.sampled_from(FAR))
TEXTS = st.one_of(st.none(), st.sampled_from(["", "timeout", "ü\x00"]))
OPS = st.builds(
    Op,
    type=st.sampled_from(["invoke", "ok", "fail", "info"]),
    f=st.sampled_from(["enqueue", "dequeue", "drain"]),
    value=st.none() | NUMBERS,
    process=st.one_of(st.integers(-1, 3), st.sampled_from(FAR)),
    time=st.one_of(st.integers(0, 3), st.sampled_from([2**31 - 1, 2**31, 2**45])),
    node=st.sampled_from([None, "n1", "n2"]),
    error=TEXTS,
    data=st.sampled_from([None, None, {}, [], {"window": 1}, "text"]),
    offset=st.none() | st.integers(0, 2**33),
)


def journal_of(path: Path, ops: list[Op], batch: int) -> list[Op]:
    """Record ops, each as much later as its time says; return them with their times."""
    now = 0
    journal = Journal(path, lambda: now)
    timed = []
    for number, op in enumerate(ops):
        now += op.time
        timed.append(Op(op.type, op.f, op.value, op.process, now, *_rest(op)))
        append_op(journal, op)
        if number % batch == batch - 1:
            journal.flush()
    journal.close()
    return timed


def _rest(op: Op) -> tuple[str | None, str | None, Any, int | None]:
    return op.node, op.error, op.data, op.offset


def test_any_ops_are_the_same_afterwards(tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(deadline=None)
    @given(st.lists(OPS, max_size=30), st.integers(1, 8), st.sampled_from([1, 3, 1 << 18]))
    def holds(ops: list[Op], batch: int, chunk_rows: int) -> None:
        path = tmp_path_factory.mktemp("run") / "history.arrow"
        timed = journal_of(path, ops, batch)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(table, "CHUNK_ROWS", chunk_rows)
            before = columns_of(open_history(path))
            compact_run(path)
        assert (version(path), names_in(path.parent)) == (COMPACT, ["history.arrow"])
        history = open_history(path)
        assert (history.complete, history.damage) == (True, None)
        assert list(history.ops()) == timed
        assert columns_of(history) == before
        for chunk in history:
            for name in NARROW:
                wide = getattr(chunk, name)[chunk.has_value | (name != "value")]
                narrow = chunk.narrow(name)[chunk.has_value | (name != "value")]
                assert narrow.tolist() == wide.tolist()
                assert wide.dtype == (np.int8 if name == "type" else np.int64)
            for row in range(len(chunk.time)):
                assert chunk.error(row) == chunk.read("error")[row]
                assert chunk.data(row) == chunk.read("data")[row]

    holds()


def test_a_compact_file_says_what_the_journal_said(tmp_path: Path) -> None:
    path = recorded(tmp_path / "history.arrow")
    before = read_arrow(path).metadata
    compact_run(path)
    assert read_arrow(path).metadata == {**before, b"jepsenvm": b"history 3"}
    assert open_history(path).plan == "workload: queue\n"
    assert verdict(path) is Verdict.INVALID


def test_names_of_more_than_eight_bits(tmp_path: Path) -> None:
    ops = [Op("info", f"f{number}", None, 0, 0, f"n{number % 200}") for number in range(300)]
    journal_of(tmp_path / "history.arrow", ops, 7)
    before = columns_of(open_history(tmp_path / "history.arrow"))
    compact_run(tmp_path / "history.arrow")
    history = open_history(tmp_path / "history.arrow")
    assert version(tmp_path / "history.arrow") == COMPACT
    assert columns_of(history) == before
    assert [op.f for op in history.ops()] == [op.f for op in ops]


def test_codes_of_names_are_those_of_a_history_with_other_segments(tmp_path: Path) -> None:
    first = tmp_path / "history.arrow"
    journal_of(first, [Op("ok", "enqueue", 1, 0, 0, "n1")], 1)
    journal_of(next_segment(first), [Op("ok", "dequeue", 1, 0, 0, "n2")] * 2, 1)
    compact_run(first)
    compact_run(tmp_path / "history-2.arrow")
    assert version(tmp_path / "history-2.arrow") == COMPACT
    history = open_history(first)
    assert [(op.f, op.node) for op in history.ops()] == [
        ("enqueue", "n1"),
        ("dequeue", "n2"),
        ("dequeue", "n2"),
    ]
    [_, chunk] = list(history)
    assert (chunk.narrow("f").tolist(), chunk.f.tolist()) == ([1, 1], [1, 1])
    assert chunk.narrow("node").tolist() == [1, 1]


@pytest.mark.parametrize("offset", [None, 7])
def test_a_row_takes_less_than_20_bytes(tmp_path: Path, offset: int | None) -> None:
    rows = 20_000
    ops = [
        Op("ok", "enqueue", value, value % 500, 30_000, f"n{value % 5}", offset=offset)
        for value in range(rows)
    ]
    # A few errors, long pauses and values of 64 bits take no space in the other rows.
    ops[70] = Op("fail", "dequeue", -(2**60), 7, 2**40, "n1", "timeout", {"a": 1}, offset)
    journal_of(tmp_path / "history.arrow", ops, 4)
    compact_run(tmp_path / "history.arrow")
    assert (tmp_path / "history.arrow").stat().st_size / rows < 20


def test_a_compact_file_is_an_arrow_stream(tmp_path: Path) -> None:
    path = recorded(tmp_path / "history.arrow")
    before = list(open_history(path).ops())
    compact_run(path)
    rows = pa.ipc.open_stream(path.read_bytes()).read_all()
    assert rows["node"].to_pylist() == [op.node for op in before]
    assert np.cumsum(rows["time"].to_pylist()).tolist() == [op.time for op in before]


@pytest.mark.parametrize("workload", PLANS)
@pytest.mark.parametrize("seed", range(4))
def test_every_checker_finds_the_same(tmp_path: Path, workload: str, seed: int) -> None:
    write_run(tmp_path / "run", workload, stored_ops(Random(seed), workload))
    before = judge(tmp_path / "run").results.as_data()
    compact_run(tmp_path / "run" / "history.arrow")
    assert version(tmp_path / "run" / "history.arrow") == COMPACT
    assert judge(tmp_path / "run").results.as_data() == before


# Which files.


def test_only_closed_segments_without_a_recorded_size_are_rewritten(tmp_path: Path) -> None:
    first = recorded(tmp_path / "history.arrow", closed=False)
    recorded(next_segment(first), closed=False)
    recorded(next_segment(first))
    for number in (1, 2):
        recorded(tmp_path / f"history-load-{number}.arrow", closed=number == 1)
    before = list(open_history(first).ops())
    complete = open_history(first).complete
    compact_run(first)
    versions = {path.name: version(path) for path in tmp_path.glob("*.arrow")}
    assert versions == {
        "history.arrow": VERSION,
        "history-2.arrow": VERSION,
        "history-3.arrow": COMPACT,
        "history-load-1.arrow": COMPACT,
        "history-load-2.arrow": VERSION,
    }
    assert complete
    assert open_history(first).complete
    assert list(open_history(first).ops()) == before


def test_a_run_with_load_processes_keeps_its_verdict(tmp_path: Path) -> None:
    clock = count()
    segments = new_load_segments(2)
    first = tmp_path / "history.arrow"
    main = Journal(first, clock.__next__, about=about_load_segments(segments))
    for value, segment in enumerate(segments):
        load = Journal(tmp_path / segment.name, clock.__next__, about=segment.about)
        load.append("invoke", "enqueue", value, process=value)
        load.append("ok", "enqueue", value, process=value)
        load.close()
    main.append("invoke", "drain", process=9)
    main.append("ok", "dequeue", 0, process=9)
    main.append("ok", "drain", process=9)
    main.close()
    before = list(open_history(first).ops())
    compact_run(first)
    assert {version(path) for path in tmp_path.iterdir()} == {COMPACT}
    history = open_history(first)
    assert (history.complete, history.damage, verdict(first)) == (True, None, Verdict.INVALID)
    assert list(history.ops()) == before


def test_a_compact_file_stays_as_it_is(tmp_path: Path) -> None:
    path = recorded(tmp_path / "history.arrow")
    compact_run(path)
    content, file = path.read_bytes(), path.stat().st_ino
    compact_run(path)
    assert (path.read_bytes(), path.stat().st_ino) == (content, file)


@pytest.mark.parametrize("damage", [lambda content: content[:-8], lambda content: content + b"x"])
def test_a_damaged_file_stays_as_it_is(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = recorded(tmp_path / "history.arrow")
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    compact_run(path)
    assert (path.read_bytes(), names_in(tmp_path)) == (damaged, ["history.arrow"])


def test_a_file_that_is_no_journal_ends_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "history.arrow"
    path.write_bytes(b"not a journal")
    with caplog.at_level(logging.INFO):
        compact_run(path)
    assert path.read_bytes() == b"not a journal"
    assert "history.arrow is not stored in less space" in caplog.text


# Whatever happens meanwhile, a whole history is there.


class Killed(BaseException):
    """The end of the process, as SIGKILL brings it."""


class Steps:
    """The steps of a compaction that the kernel does, one of which fails."""

    def __init__(self, failing: int, error: BaseException) -> None:
        self.done: list[str] = []
        self._failing, self._error = failing, error

    def step(self, name: str, in_part: Callable[[], object] | None = None) -> None:
        """Do a step, or fail after a part of it."""
        if len(self.done) == self._failing:
            if in_part is not None:
                in_part()
            raise self._error
        self.done.append(name)

    def create(self, path: Path) -> Any:
        self.step("create")
        return StepFile(self, path)

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make syncing and renaming steps."""
        replace = Path.replace

        def fsync(_: int) -> None:
            self.step("sync")

        def replace_in_a_step(path: Path, target: Path) -> Path:
            self.step("rename")
            return replace(path, target)

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(Path, "replace", replace_in_a_step)


class StepFile:
    """A file of which each write is a step, and may be done in part."""

    def __init__(self, steps: Steps, path: Path) -> None:
        self._steps = steps
        self._file: Any = create_file(path)

    def write(self, data: memoryview) -> int:
        self._steps.step("write", lambda: self._file.write(data[: len(data) // 2]))
        return int(self._file.write(data))

    def truncate(self, size: int) -> int:
        return int(self._file.truncate(size))

    def fileno(self) -> int:
        return int(self._file.fileno())

    def close(self) -> None:
        self._file.close()


ALL_STEPS = ["create", *["write"] * 4, "sync", "write", "sync", "rename", "sync"]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several batches in each compact file."""
    monkeypatch.setattr(table, "CHUNK_ROWS", 6)


several_batches = pytest.mark.usefixtures("small_chunks")


def steps_of(path: Path, failing: int, error: BaseException) -> Iterator[str]:
    """Compact with a failure at a step; yield the steps that were done."""
    steps = Steps(failing, error)
    with pytest.MonkeyPatch.context() as patch:
        steps.patch(patch)
        with suppress(Killed):
            compact_run(path, steps.create)
    yield from steps.done


@several_batches
def test_all_steps_of_a_compaction(tmp_path: Path) -> None:
    path = recorded(tmp_path / "history.arrow")
    assert list(steps_of(path, 99, Killed())) == ALL_STEPS
    assert version(path) == COMPACT


@several_batches
@pytest.mark.parametrize("failing", range(len(ALL_STEPS)))
def test_a_kill_at_any_step_leaves_a_whole_history(tmp_path: Path, failing: int) -> None:
    path = recorded(tmp_path / "history.arrow")
    whole, ops = path.read_bytes(), list(open_history(path).ops())
    assert list(steps_of(path, failing, Killed())) == ALL_STEPS[:failing]
    renamed = "rename" in ALL_STEPS[:failing]
    assert renamed or path.read_bytes() == whole
    assert open_history(path).complete
    assert list(open_history(path).ops()) == ops
    # The next compaction, such as that of `jepsenvm resume`, begins anew.
    compact_run(path)
    assert (version(path), names_in(tmp_path)) == (COMPACT, ["history.arrow"])
    assert list(open_history(path).ops()) == ops


@several_batches
@pytest.mark.parametrize("failing", range(len(ALL_STEPS)))
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_full_or_broken_disk_leaves_the_journal_and_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, failing: int, error: int
) -> None:
    path = recorded(tmp_path / "history.arrow")
    whole, ops = path.read_bytes(), list(open_history(path).ops())
    with caplog.at_level(logging.INFO):
        list(steps_of(path, failing, OSError(error, os.strerror(error))))
    assert names_in(tmp_path) == ["history.arrow"]
    assert "rename" in ALL_STEPS[:failing] or path.read_bytes() == whole
    assert list(open_history(path).ops()) == ops
    assert "rename" in ALL_STEPS[:failing] or os.strerror(error) in caplog.text


@pytest.mark.parametrize("column", ["time", "type", "process", "value", "f", "node", "error"])
def test_a_compact_file_with_other_ops_never_replaces_the_journal(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    column: str,
) -> None:
    path = recorded(tmp_path / "history.arrow")
    whole = path.read_bytes()
    right = compact.compacted

    def wrong(rows: pa.Table, schema: pa.Schema) -> pa.RecordBatch:
        batch = right(rows, schema)
        other = right(rows.take(pa.array(range(len(rows))[::-1])), schema)[column]
        if column == "error":
            other = right(rows.set_column(7, "error", rows["node"].cast(pa.utf8())), schema)[column]
        return batch.set_column(batch.schema.get_field_index(column), schema.field(column), other)

    monkeypatch.setattr(compaction, "compacted", wrong)
    with caplog.at_level(logging.INFO):
        compact_run(path)
    assert (path.read_bytes(), names_in(tmp_path)) == (whole, ["history.arrow"])
    assert f"it has another {column}" in caplog.text


@several_batches
def test_a_compact_file_with_fewer_ops_never_replaces_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recorded(tmp_path / "history.arrow")
    whole = path.read_bytes()
    real = table.joined_tables
    first_only = real(read_arrow(path).stream)
    answers = iter([[next(first_only)]])
    monkeypatch.setattr(compaction, "joined_tables", lambda stream: next(answers, real(stream)))
    compact_run(path)
    assert (path.read_bytes(), names_in(tmp_path)) == (whole, ["history.arrow"])
