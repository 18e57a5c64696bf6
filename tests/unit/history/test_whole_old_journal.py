"""Journals without checksums: how much of each can be read, and what is wrong with the others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jepsenvm.history import table, vetting
from jepsenvm.history.checksums import END_MARK, Extent
from jepsenvm.history.journal import SCHEMA
from jepsenvm.history.old_journal import extent
from jepsenvm.history.op import TYPES
from jepsenvm.history.vetting import vet

Row = tuple[int | None, str | None, int | None, str | None, int | None]
"""The time, type, process, f and value of an op."""

GOOD: list[Row] = [
    (0, "info", -1, "schedule", None),
    (0, "invoke", 1, "enqueue", 7),
    (1, "invoke", 2, "enqueue", 8),
    (1, "ok", 1, "enqueue", 7),
    (2, "invoke", 1, "acquire", 3),
    (3, "info", 2, "enqueue", 8),
    (4, "ok", 1, "acquire", 4),
    (5, "invoke", 1, "release", None),
    (6, "fail", 1, "release", None),
    (7, "ok", 3, "dequeue", 7),
    (8, "invoke", 4, "drain", None),
    (8, "invoke", 4, "drain", None),
    (9, "invoke", 0, "enqueue", 9),
]


@pytest.fixture(autouse=True, params=[1, table.CHUNK_ROWS])
def chunk_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read each batch as a chunk, and all batches as one."""
    monkeypatch.setattr(table, "CHUNK_ROWS", request.param)


def dictionary(names: Sequence[str | None], known: list[str]) -> pa.DictionaryArray:
    known += [name for name in dict.fromkeys(names) if name is not None and name not in known]
    codes = [None if name is None else known.index(name) for name in names]
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(known, pa.utf8()))


def batch_of(
    rows: Sequence[Row], names: list[str], nodes: list[str], data: str | None = None
) -> pa.RecordBatch:
    times, types, processes, fs, values = zip(*rows, strict=True)
    codes = [None if type_ is None else (*TYPES, "none").index(type_) for type_ in types]
    columns = [
        pa.array(times, pa.int64()),
        pa.array(codes, pa.int8()),
        pa.array(processes, pa.int64()),
        dictionary(fs, names),
        pa.array(values, pa.int64()),
        pa.array([None] * len(rows), pa.int64()),
        dictionary(["n1"] * len(rows), nodes),
        pa.array([None] * len(rows), pa.utf8()),
        pa.array([data] + [None] * (len(rows) - 1), pa.utf8()),
    ]
    return pa.record_batch(columns, schema=OLD_SCHEMA)


OLD_SCHEMA = SCHEMA.with_metadata({"jepsenvm": "history 1"})


def stream_of(*batches: pa.RecordBatch, schema: pa.Schema = OLD_SCHEMA) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def old(rows: Sequence[Row], *, size: int = 5, data: str | None = None) -> bytes:
    """Return the bytes of an old journal with these ops, in batches of this size."""
    names: list[str] = []
    nodes: list[str] = []
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    return stream_of(*(batch_of(part, names, nodes, data) for part in parts))


SCHEMA_END = len(stream_of()) - len(END_MARK)


def extent_of(tmp_path: Path, content: bytes) -> Extent:
    (tmp_path / "h.arrow").write_bytes(content)
    return extent(tmp_path / "h.arrow")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_good_journal_is_complete(tmp_path: Path, size: int) -> None:
    content = old(GOOD, size=size, data='{"a": 1}')
    assert extent_of(tmp_path, content) == Extent(len(content) - 8, complete=True)


def test_a_journal_without_ops(tmp_path: Path) -> None:
    assert extent_of(tmp_path, stream_of()) == Extent(SCHEMA_END, complete=True)


def test_a_cut_journal_ends_with_its_last_whole_message(tmp_path: Path) -> None:
    whole = old(GOOD, size=100)
    for cut in (1, 8):
        assert extent_of(tmp_path, whole[:-cut]) == Extent(len(whole) - 8)
    assert extent_of(tmp_path, whole[:-9]).complete is False
    assert extent_of(tmp_path, whole[:SCHEMA_END]) == Extent(SCHEMA_END)
    assert extent_of(tmp_path, whole[: SCHEMA_END + 30]) == Extent(SCHEMA_END)


def test_bytes_after_the_end_are_damage(tmp_path: Path) -> None:
    whole = old(GOOD)
    end = len(whole) - 8
    after = Extent(end, damage="more bytes follow the end of the history")
    for more in (b"x", b"\x00" * 8, whole):
        assert extent_of(tmp_path, whole + more) == after
    assert extent_of(tmp_path, whole[:-8] + b"x" * 8) == Extent(end)


def test_a_file_whose_schema_is_damaged_has_nothing(tmp_path: Path) -> None:
    whole = old(GOOD)
    found = extent_of(tmp_path, whole[:4] + b"\x10\x00\x00\x00" + whole[8:])
    assert (found.end, found.complete) == (0, False)
    assert found.damage is not None
    assert extent_of(tmp_path, b"") == Extent(0)


PAIRS = "the invocations and completions of a process do not match"
BACKWARDS = "its times go backwards"
NO_SUCH = "an op has a type or a process that does not exist"
NULL = "an op has no time, type, process or name"


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize(
    ("rows", "damage"),
    [
        ([(-1, "info", -1, "x", None)], BACKWARDS),
        ([(5, "info", -1, "x", None), (4, "info", -1, "x", None)], BACKWARDS),
        ([(1, "info", 0, "x", None), (2, "info", -1, "x", None), (1, "info", 0, "x", None)],
         BACKWARDS),
        ([(0, "none", 1, "x", None)], NO_SUCH),
        ([(0, "info", -2, "x", None)], NO_SUCH),
        ([(0, "ok", -1, "x", None)], "a record of the nemesis is not an info"),
        ([(0, "invoke", -1, "enqueue", 1)], "a record of the nemesis is not an info"),
        ([(None, "ok", 1, "x", None)], NULL),
        ([(0, None, 1, "x", None)], NULL),
        ([(0, "ok", None, "x", None)], NULL),
        ([(0, "ok", 1, None, None)], NULL),
        # A completion without an invocation.
        ([(0, "ok", 1, "enqueue", 7)], PAIRS),
        ([(0, "fail", 1, "acquire", 7)], PAIRS),
        ([(0, "info", 1, "release", 7)], PAIRS),
        ([(0, "invoke", 1, "enqueue", 7), (0, "ok", 2, "enqueue", 7)], PAIRS),
        # A second invocation or completion.
        ([(0, "invoke", 1, "enqueue", 7), (0, "invoke", 1, "enqueue", 8)], PAIRS),
        ([(0, "invoke", 1, "enqueue", 7), (0, "ok", 1, "enqueue", 7),
          (0, "ok", 1, "enqueue", 7)], PAIRS),
        # A completion of another op.
        ([(0, "invoke", 1, "enqueue", 7), (0, "ok", 1, "enqueue", 8)], PAIRS),
        ([(0, "invoke", 1, "enqueue", 7), (0, "ok", 1, "enqueue", None)], PAIRS),
        ([(0, "invoke", 1, "enqueue", None), (0, "ok", 1, "enqueue", 7)], PAIRS),
        ([(0, "invoke", 1, "acquire", 7), (0, "ok", 1, "release", 7)], PAIRS),
        # Others of the same process are between, which count as little as those of another.
        ([(0, "invoke", 1, "enqueue", 7), (0, "ok", 1, "x", 7), (0, "ok", 2, "x", 7),
          (0, "ok", 1, "enqueue", 8)], PAIRS),
    ],
)  # fmt: skip
def test_a_journal_that_no_run_can_have_recorded(
    tmp_path: Path, rows: list[Row], damage: str, size: int
) -> None:
    assert extent_of(tmp_path, old(rows, size=size)) == Extent(SCHEMA_END, damage=damage)
    later = [(None if row[0] is None else row[0] + 9, *row[1:]) for row in rows]
    assert extent_of(tmp_path, old([*GOOD, *later], size=size)) == Extent(SCHEMA_END, damage=damage)


@pytest.mark.parametrize(
    "rows",
    [
        [(0, "invoke", 1, "enqueue", 7), (0, "ok", 1, "x", 1), (0, "ok", 1, "enqueue", 7)],
        [(0, "invoke", 1, "acquire", 7), (0, "ok", 1, "acquire", 8)],
        [(0, "invoke", 1, "enqueue", None), (0, "ok", 1, "enqueue", None)],
        [(0, "invoke", 1, "x", 7), (0, "invoke", 1, "x", 7), (0, "ok", 1, "y", 7)],
        [(0, "info", -1, "enqueue", 7), (0, "info", -1, "enqueue", 7)],
        [(0, "invoke", 2, "enqueue", 7), (0, "invoke", 1, "enqueue", 7)],
        [(0, "info", 0, "x", None), (0, "fail", 0, "x", None)],
    ],
)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_journal_that_a_run_can_have_recorded(tmp_path: Path, rows: list[Row], size: int) -> None:
    content = old(rows, size=size)
    assert extent_of(tmp_path, content) == Extent(len(content) - 8, complete=True)


def test_names_that_change_are_damage(tmp_path: Path) -> None:
    row: list[Row] = [(0, "ok", 1, "x", None)]
    first = batch_of(row, ["x"], ["n1"])
    for names, nodes in (
        (["y", "x"], ["n1"]),
        (["x", "x"], ["n1"]),
        (["x"], ["n2", "n1"]),
        (["x"], ["n1", "n1"]),
    ):
        content = stream_of(first, batch_of(row, names, nodes))
        assert extent_of(tmp_path, content) == Extent(
            SCHEMA_END, damage="the names of its ops or nodes change"
        )
    more = stream_of(first, batch_of(row, ["x", "y"], ["n1", "n2"]))
    assert extent_of(tmp_path, more) == Extent(len(more) - 8, complete=True)


def test_data_that_is_not_json_is_damage(tmp_path: Path) -> None:
    assert extent_of(tmp_path, old(GOOD, data="{")) == Extent(
        SCHEMA_END,
        damage="JSONDecodeError: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)",
    )


def test_other_columns_are_damage_only_in_a_history(tmp_path: Path) -> None:
    for metadata, damage in (
        ({"jepsenvm": "history 1"}, "its columns are not those of a history"),
        ({"other": "x"}, None),
        (None, None),
    ):
        schema = pa.schema([("time", pa.int64())], metadata=metadata)
        content = stream_of(pa.record_batch([pa.array([1])], schema=schema), schema=schema)
        end = len(stream_of(schema=schema)) - 8 if damage else len(content) - 8
        assert extent_of(tmp_path, content) == Extent(end, complete=damage is None, damage=damage)


# The process that vets.


def test_the_other_process_gives_the_same_extent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = old(GOOD)
    Path("h.arrow").write_bytes(content)
    assert vet(Path("h.arrow")) == Extent(len(content) - 8, complete=True)


class Answer:
    def __init__(self, returncode: int, stdout: str) -> None:
        self.returncode, self.stdout = returncode, stdout


CRASHED = Extent(0, damage="reading it crashed, so it is damaged")


@pytest.mark.parametrize(
    ("status", "output", "expected"),
    [
        (0, "a warning\n" + json.dumps(asdict(Extent(7, True, "d"))) + "\n", Extent(7, True, "d")),
        (1, json.dumps(asdict(Extent(7, True))), CRASHED),
        (-11, json.dumps(asdict(Extent(7, True))), CRASHED),
        (0, "", CRASHED),
        (0, "{", CRASHED),
        (0, "[]", CRASHED),
        (0, '{"end": 7, "other": 8}', CRASHED),
    ],
)
def test_the_answer_of_the_other_process(
    monkeypatch: pytest.MonkeyPatch, status: int, output: str, expected: Extent
) -> None:
    calls: list[tuple[Any, dict[str, Any]]] = []

    def run(command: Any, **options: Any) -> Answer:
        calls.append((command, options))
        return Answer(status, output)

    monkeypatch.setattr(subprocess, "run", run)
    assert vet(Path("/some/h.arrow")) == expected
    assert calls == [
        (
            [sys.executable, "-m", "jepsenvm.history.old_journal", "/some/h.arrow"],
            {
                "stdin": subprocess.DEVNULL,
                "cwd": Path(vetting.__file__).parents[2],
                "capture_output": True,
                "text": True,
                "errors": "replace",
                "check": False,
            },
        )
    ]
