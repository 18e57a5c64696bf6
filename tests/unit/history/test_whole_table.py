"""Histories in columns: every op and every column, of ops in memory and of journals."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jepsenvm.history import table
from jepsenvm.history.edn import Keyword
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import NEMESIS, NO_PROCESS, TYPES, Op
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import Chunk, History, drained_values, from_ops

OPS = [
    Op("invoke", "enqueue", 7, 3, 12, "n1"),
    Op("info", "start", None, NEMESIS, 13, data={"window": 1, "phase": "inject"}),
    Op("ok", "enqueue", 7, 3, 14, "n2", "late", [1], 0),
    Op("fail", "enqueue", [1], 4, 15, "n1", "no"),
    Op("ok", "drain", (8, "a"), 5, 16, "n3", "e", {"received": 2}, 4),
    Op("ok", "drain", frozenset({2, 10, 1}), 6, 17),
    Op("ok", "drain", None, 6, 18),
    Op("ok", "drain", [], 6, 19),
    Op("fail", "drain", [9], 6, 20),
    Op("ok", "read", [9], NO_PROCESS, 21, offset=5),
    Op("info", "stop", None, NEMESIS, 22, data=0),
]
EXPANDED = [
    *OPS[:4],
    Op("ok", "dequeue", 8, 5, 16, "n3"),
    Op("ok", "dequeue", "a", 5, 16, "n3"),
    OPS[4],
    Op("ok", "dequeue", 1, 6, 17),
    Op("ok", "dequeue", 10, 6, 17),
    Op("ok", "dequeue", 2, 6, 17),
    *OPS[5:],
]


def assert_ops(history: History, expected: list[Op]) -> None:
    # The text has the types, too: in Python 1 and True are equal.
    assert list(map(repr, history.ops())) == list(map(repr, expected))


COLUMNS = ("time", "type", "process", "f", "value", "has_value", "offset", "node", "has_data")


def columns_of(chunk: Chunk) -> dict[str, list[Any]]:
    return {name: getattr(chunk, name).tolist() for name in COLUMNS}


def test_ops_in_memory_have_all_their_columns() -> None:
    history = from_ops(OPS)
    assert_ops(history, EXPANDED)
    assert_ops(history, EXPANDED)
    [chunk] = history
    assert columns_of(chunk) == {
        "time": [12, 13, 14, 15, 16, 16, 16, 17, 17, 17, 17, 18, 19, 20, 21, 22],
        "type": [0, 3, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 3],
        "process": [3, -1, 3, 4, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, -2, -1],
        "f": [0, 1, 0, 0, 2, 2, 3, 2, 2, 2, 3, 3, 3, 3, 4, 5],
        "value": [0, 1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 1, 10, 11, 11, 1],
        "has_value": [True] * 16,
        "offset": [-1, -1, 0, -1, -1, -1, 4, -1, -1, -1, -1, -1, -1, -1, 5, -1],
        "node": [0, -1, 1, 0, 2, 2, 2, -1, -1, -1, -1, -1, -1, -1, -1, -1],
        "has_data": [row in (1, 2, 6, 15) for row in range(16)],
    }
    assert history.names == ["enqueue", "start", "dequeue", "drain", "read", "stop"]
    assert history.nodes == ["n1", "n2", "n3"]
    assert history.labels == [
        *(7, None, [1], 8, "a", (8, "a"), 1, 10, 2, frozenset({1, 2, 10}), [], [9])
    ]
    assert (history.label(2), history.label(np.int64(4))) == ([1], "a")  # type: ignore[arg-type]
    assert [chunk.data(row) for row in (0, 1, 2, 6, 15)] == [
        None,
        {"window": 1, "phase": "inject"},
        [1],
        {"received": 2},
        0,
    ]
    assert [chunk.error(row) for row in range(7)] == [None, None, "late", "no", None, None, "e"]
    assert chunk.read("error") == [None, None, "late", "no", None, None, "e", *[None] * 9]
    assert chunk.read("data")[:3] == [None, {"window": 1, "phase": "inject"}, [1]]
    assert (history.complete, history.damage, history.plan, history.doubts) == (
        True,
        None,
        None,
        (),
    )
    assert not from_ops(OPS, complete=False).complete


def test_counts_masks_values_and_the_ops_of_the_nemesis() -> None:
    history = from_ops(OPS)
    [chunk] = history
    assert {
        (type_, f): history.count(type_, f)
        for type_ in TYPES
        for f in (*history.names, "none")
        if history.count(type_, f)
    } == {
        ("invoke", "enqueue"): 1,
        ("ok", "enqueue"): 1,
        ("fail", "enqueue"): 1,
        ("ok", "dequeue"): 5,
        ("ok", "drain"): 4,
        ("fail", "drain"): 1,
        ("ok", "read"): 1,
        ("info", "start"): 1,
        ("info", "stop"): 1,
    }
    assert list(map(repr, history.nemesis_ops())) == list(map(repr, [OPS[1], OPS[10]]))
    assert history.mask(chunk, "ok", "drain").nonzero()[0].tolist() == [6, 10, 11, 12]
    nothing = history.mask(chunk, "ok", "none")
    assert (nothing.dtype, nothing.tolist()) == (np.dtype(bool), [False] * 16)
    assert history.values("ok", "dequeue").tolist() == [3, 4, 6, 7, 8]
    empty = history.values("info", "dequeue")
    assert (empty.dtype, empty.tolist()) == (np.dtype(np.int64), [])
    history.nemesis_ops().clear()
    assert len(history.nemesis_ops()) == 2


def test_an_empty_history() -> None:
    history = from_ops([])
    assert_ops(history, [])
    assert (history.names, history.nodes, history.labels) == ([], [], [])
    assert history.count("ok", "enqueue") == 0
    assert history.nemesis_ops() == []
    assert history.values("ok", "enqueue").tolist() == []
    assert not history.own


def test_values_that_python_finds_equal_have_different_codes() -> None:
    values = [1, True, 1.0, Decimal(1), "a", Keyword("a"), [1], [True], (1,), frozenset({1})]
    history = from_ops(Op("ok", "read", value) for value in [*values, *values])
    [chunk] = history
    codes = [0, 1, 2, 3, 4, 5, 6, 7, 6, 8]
    assert chunk.value.tolist() == codes + codes


@pytest.mark.parametrize(
    ("op", "values"),
    [
        (Op("ok", "drain", [2, 1]), [2, 1]),
        (Op("ok", "drain", (2, 1)), [2, 1]),
        (Op("ok", "drain", {2, 1, 10}), [1, 10, 2]),
        (Op("ok", "drain", frozenset({"b", "a"})), ["a", "b"]),
        (Op("ok", "drain", []), []),
        (Op("ok", "drain", None), None),
        (Op("ok", "drain", "ab"), None),
        (Op("ok", "drain", {1: 2}), None),
        (Op("info", "drain", [1]), None),
        (Op("ok", "dequeue", [1]), None),
    ],
)
def test_only_an_ok_drain_with_a_collection_has_drained_values(
    op: Op, values: list[Any] | None
) -> None:
    assert drained_values(op) == values


@pytest.mark.parametrize(
    ("ops", "own"),
    [
        ([], False),
        ([Op("info", "start", process=NEMESIS)], False),
        ([Op("info", "schedule", process=NEMESIS, data=[])], True),
        ([Op("info", "schedule", process=NEMESIS, data={})], False),
        ([Op("info", "schedule", process=NEMESIS, data={"window": 1, "phase": "x"})], False),
        ([Op("info", "x", process=NEMESIS, data=[])], False),
        ([Op("info", "x", process=NEMESIS, data={"window": 1, "phase": "x"})], True),
        ([Op("info", "x", process=NEMESIS, data={"window": 1})], False),
        ([Op("info", "x", process=NEMESIS, data={"phase": 1})], False),
        ([Op("info", "x", process=NEMESIS, data="window phase")], False),
        ([Op("info", "x", process=NEMESIS, data=["window", "phase"])], False),
        ([Op("info", "x", process=1, data={"window": 1, "phase": "x"})], False),
        (
            [
                Op("info", "y", process=NEMESIS),
                Op("info", "x", process=NEMESIS, data={"window": 1, "phase": "x"}),
            ],
            True,
        ),
    ],
)
def test_a_history_of_jepsenvm_is_known_by_its_nemesis(ops: list[Op], own: bool) -> None:
    history = from_ops(ops)
    assert history.own is own
    history.plan = ""
    assert history.own


def test_columns_can_be_replaced() -> None:
    [chunk] = from_ops(OPS[:3])
    other = chunk.with_columns(value=np.array([5, 6, 7]))
    assert other.value.tolist() == [5, 6, 7]
    assert other.time.tolist() == [12, 13, 14]
    assert (other.data(2), other.error(2)) == ([1], "late")
    assert chunk.value.tolist() == [0, 1, 0]


def test_a_column_is_read_once() -> None:
    reads: list[str] = []

    def read(name: str) -> Any:
        reads.append(name)
        return np.array([1])

    chunk = Chunk(read=read, data=lambda _: None, error=lambda _: None)
    assert [chunk.time is chunk.time, chunk.f is chunk.f] == [True, True]
    assert reads == ["time", "f"]


# Journals


def recorded(path: Path, *, batches: int = 2) -> History:
    journal = Journal(path, count(5).__next__)
    journal.append("invoke", "enqueue", 7, process=1, node="n1")
    journal.append("ok", "enqueue", 7, process=1)
    if batches > 1:
        journal.flush()
    journal.append("info", "inject", process=NEMESIS, data={"window": 1}, node="n2", error="e")
    journal.append("ok", "dequeue", -7, process=2, offset=0, node="n1")
    if batches > 2:
        journal.flush()
    journal.append("fail", "read", process=3, error="", data=[])
    journal.close()
    return open_history(path)


RECORDED = [
    Op("invoke", "enqueue", 7, 1, 5, "n1"),
    Op("ok", "enqueue", 7, 1, 6),
    Op("info", "inject", None, NEMESIS, 7, "n2", "e", {"window": 1}),
    Op("ok", "dequeue", -7, 2, 8, "n1", None, None, 0),
    Op("fail", "read", None, 3, 9, None, "", []),
]


@pytest.mark.parametrize("batches", [1, 2, 3])
@pytest.mark.parametrize(
    ("chunk_rows", "sizes"),
    [
        (1, {1: [5], 2: [2, 3], 3: [2, 2, 1]}),
        (2, {1: [5], 2: [2, 3], 3: [2, 2, 1]}),
        (3, {1: [5], 2: [5], 3: [4, 1]}),
        (4, {1: [5], 2: [5], 3: [4, 1]}),
        (5, {1: [5], 2: [5], 3: [5]}),
        (9, {1: [5], 2: [5], 3: [5]}),
    ],
)
def test_batches_are_joined_to_chunks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
    chunk_rows: int,
    sizes: dict[int, list[int]],
) -> None:
    monkeypatch.setattr(table, "CHUNK_ROWS", chunk_rows)
    history = recorded(tmp_path / "h.arrow", batches=batches)
    assert [len(chunk.time) for chunk in history] == sizes[batches]
    assert_ops(history, RECORDED)
    assert history.names == ["enqueue", "inject", "dequeue", "read"]
    assert history.nodes == ["n1", "n2"]
    assert list(map(repr, history.nemesis_ops())) == [repr(RECORDED[2])]
    assert history.count("ok", "dequeue") == 1
    assert history.values("ok", "dequeue").tolist() == [-7]


def test_the_columns_of_a_journal(tmp_path: Path) -> None:
    [chunk] = recorded(tmp_path / "h.arrow")
    assert columns_of(chunk) == {
        "time": [5, 6, 7, 8, 9],
        "type": [0, 1, 3, 1, 2],
        "process": [1, 1, -1, 2, 3],
        "f": [0, 0, 1, 2, 3],
        "value": [7, 7, 0, -7, 0],
        "has_value": [True, True, False, True, False],
        "offset": [-1, -1, -1, 0, -1],
        "node": [0, -1, 1, 0, -1],
        "has_data": [False, False, True, False, True],
    }
    assert [chunk.data(row) for row in range(5)] == [None, None, {"window": 1}, None, []]
    assert [chunk.error(row) for row in range(5)] == [None, None, "e", None, ""]
    assert chunk.read("data") == [None, None, {"window": 1}, None, []]
    assert chunk.read("error") == [None, None, "e", None, ""]


def test_a_journal_without_errors_data_and_nodes(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h.arrow", count().__next__)
    journal.append("invoke", "x", 1, process=0)
    journal.append("ok", "x", 1, process=0)
    journal.close()
    history = open_history(tmp_path / "h.arrow")
    assert_ops(history, [Op("invoke", "x", 1, 0, 0), Op("ok", "x", 1, 0, 1)])
    assert (history.nodes, history.labels, history.label(7)) == ([], None, 7)
    assert type(history.label(np.int64(7))) is int  # type: ignore[arg-type]


def test_no_column_is_read_for_no_rows() -> None:
    def fails(_: Any) -> Any:
        pytest.fail("a column was read")

    no_rows: list[Callable[[Any], Any]] = [fails]
    history = from_ops([])
    chunk = Chunk(read=no_rows[0], data=fails, error=fails)
    assert list(history.ops_at(chunk, np.array([], dtype=np.int64))) == []


def test_a_batch_without_its_names_ends_only_a_history_that_is_cut_short(tmp_path: Path) -> None:
    recorded(tmp_path / "h.arrow")
    # The names of the second batch are left out.
    whole = list(pa.ipc.MessageReader.open_stream((tmp_path / "h.arrow").read_bytes()))
    kinds = [message.type for message in whole]
    assert kinds == [
        *("schema", "dictionary", "dictionary", "record batch"),
        *("dictionary", "dictionary", "record batch"),
    ]
    sink = pa.BufferOutputStream()
    for message in (whole[0], whole[1], whole[3]):
        message.serialize_to(sink)
    history = table.history_of_stream(sink.getvalue())
    with pytest.raises(pa.ArrowInvalid):
        list(history)
    history.complete = False
    assert list(history) == []
