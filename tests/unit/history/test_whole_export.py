"""Export: the whole text or table of each format, for a journal and for a foreign history."""

from __future__ import annotations

from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from jepsenvm.history import export, table
from jepsenvm.history.edn import Keyword
from jepsenvm.history.export import FORMATS
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import NEMESIS, NO_PROCESS, Op
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History, from_ops


def written(history: History, format_: str) -> str:
    out = BytesIO()
    FORMATS[format_](history, out)
    return out.getvalue().decode()


def recorded(path: Path, *, close: bool = True) -> History:
    journal = Journal(path, count(5).__next__, about={"plan": 'workload: "queue"\n'})
    journal.append("invoke", "enqueue", 7, process=1, node="n1")
    journal.append("info", "enqueue", 7, process=1, error='no "confirm"')
    journal.flush()
    journal.append("ok", "dequeue", 7, process=2, data={"redelivered": True}, offset=0)
    journal.append("info", "inject", process=NEMESIS, data={"window": 1})
    journal.append("ok", "drain", process=3)
    journal.append("info", "stop", process=NEMESIS, data=[], node="n2")
    if close:
        journal.close()
    else:
        journal.flush()
    return open_history(path)


FOREIGN = [
    Op("invoke", "enqueue", [Keyword(":a"), "=1"], 1, 12, "=n1"),
    Op("fail", ":f", None, NO_PROCESS, 13, None, ":e", {Keyword(":k"): 1}, 3),
    Op("ok", "dequeue", 1, 2, 14),
    Op("ok", "dequeue", 2, 2, 14),
    Op("ok", "drain", [3, (4,)], 2, 15, "n2"),
    Op("ok", "drain", [], 2, 16),
    Op("fail", "drain", [5], 2, 17),
    Op("info", "a b", {"x": [1.5, None]}, NEMESIS, 18, data={"jepsenvm/edn": 1}),
    Op("ok", "dequeue", "last", 4, 19, "-5", "+1.5"),
]


def test_the_edn_of_a_journal(tmp_path: Path) -> None:
    assert written(recorded(tmp_path / "h.arrow"), "edn") == (
        '{:index 0, :time 5, :type :invoke, :process 1, :f :enqueue, :value 7, :node "n1", '
        r':jepsenvm {"plan" "workload: \"queue\"\n"}}' + "\n"
        "{:index 1, :time 6, :type :info, :process 1, :f :enqueue, :value 7, "
        r':error "no \"confirm\""}' + "\n"
        "{:index 2, :time 7, :type :ok, :process 2, :f :dequeue, :value 7, "
        ':data {"redelivered" true}, :offset 0}\n'
        "{:index 3, :time 8, :type :info, :process :nemesis, :f :inject, :value nil, "
        ':data {"window" 1}}\n'
        "{:index 4, :time 9, :type :ok, :process 3, :f :drain, :value nil}\n"
        "{:index 5, :time 10, :type :info, :process :nemesis, :f :stop, :value nil, "
        ':node "n2", :data [], :jepsenvm-end 6}\n'
    )


def test_the_json_of_a_journal(tmp_path: Path) -> None:
    assert written(recorded(tmp_path / "h.arrow"), "jsonl") == (
        '{"index": 0, "time": 5, "type": "invoke", "process": 1, "f": "enqueue", "value": 7, '
        r'"node": "n1", "jepsenvm": {"plan": "workload: \"queue\"\n"}}' + "\n"
        '{"index": 1, "time": 6, "type": "info", "process": 1, "f": "enqueue", "value": 7, '
        r'"error": "no \"confirm\""}' + "\n"
        '{"index": 2, "time": 7, "type": "ok", "process": 2, "f": "dequeue", "value": 7, '
        '"data": {"redelivered": true}, "offset": 0}\n'
        '{"index": 3, "time": 8, "type": "info", "process": "nemesis", "f": "inject", '
        '"value": null, "data": {"window": 1}}\n'
        '{"index": 4, "time": 9, "type": "ok", "process": 3, "f": "drain", "value": null}\n'
        '{"index": 5, "time": 10, "type": "info", "process": "nemesis", "f": "stop", '
        '"value": null, "node": "n2", "data": [], "jepsenvm-end": 6}\n'
    )


def test_the_end_of_a_history_that_is_cut_short(tmp_path: Path) -> None:
    cut = recorded(tmp_path / "h.arrow", close=False)
    assert written(cut, "edn").splitlines()[5:] == [
        "{:index 5, :time 10, :type :info, :process :nemesis, :f :stop, :value nil, "
        ':node "n2", :data []}',
        "{:index 6, :time 10, :type :info, :process :nemesis, :f :interrupt, :value nil, "
        ':error "the history that this was exported from is cut short"}',
    ]
    assert written(cut, "jsonl").splitlines()[6:] == [
        '{"index": 6, "time": 10, "type": "info", "process": "nemesis", "f": "interrupt", '
        '"value": null, "error": "the history that this was exported from is cut short"}',
    ]
    nothing = from_ops([], complete=False)
    nothing.plan = "p"
    assert written(nothing, "edn") == (
        "{:index 0, :time 0, :type :info, :process :nemesis, :f :interrupt, :value nil, "
        ':error "the history that this was exported from is cut short", '
        ':jepsenvm {"plan" "p"}}\n'
    )


@pytest.mark.parametrize("format_", ["edn", "jsonl"])
def test_a_complete_history_without_ops_is_an_empty_text(format_: str) -> None:
    assert written(from_ops([]), format_) == ""


def test_a_single_op_has_both_marks() -> None:
    assert written(from_ops([Op("ok", "x", 1, 2, 3)]), "edn") == (
        "{:index 0, :time 3, :type :ok, :process 2, :f :x, :value 1, :jepsenvm {}, "
        ":jepsenvm-end 1}\n"
    )


def test_the_edn_of_a_foreign_history() -> None:
    assert written(from_ops(FOREIGN), "edn").splitlines() == [
        '{:index 0, :time 12, :type :invoke, :process 1, :f :enqueue, :value [:a "=1"], '
        ':node "=n1", :jepsenvm {}}',
        '{:index 1, :time 13, :type :fail, :process nil, :f "::f", :value nil, :error ":e", '
        ":data {:k 1}, :offset 3}",
        "{:index 2, :time 14, :type :ok, :process 2, :f :dequeue, :value 1}",
        "{:index 3, :time 14, :type :ok, :process 2, :f :dequeue, :value 2}",
        '{:index 4, :time 15, :type :ok, :process 2, :f :drain, :value [3 [4]], :node "n2"}',
        "{:index 5, :time 16, :type :ok, :process 2, :f :drain, :value []}",
        "{:index 6, :time 17, :type :fail, :process 2, :f :drain, :value [5]}",
        '{:index 7, :time 18, :type :info, :process :nemesis, :f ":a b", '
        ':value {"x" [1.5 nil]}, :data {"jepsenvm/edn" 1}}',
        '{:index 8, :time 19, :type :ok, :process 4, :f :dequeue, :value "last", :node "-5", '
        ':error "+1.5", :jepsenvm-end 9}',
    ]


def test_the_json_of_a_foreign_history() -> None:
    assert written(from_ops(FOREIGN), "jsonl").splitlines() == [
        '{"index": 0, "time": 12, "type": "invoke", "process": 1, "f": "enqueue", '
        r'"value": {"jepsenvm/edn": "[:a \"=1\"]"}, "node": "=n1", "jepsenvm": {}}',
        '{"index": 1, "time": 13, "type": "fail", "process": null, "f": "::f", "value": null, '
        '"error": ":e", "data": {"jepsenvm/edn": "{:k 1}"}, "offset": 3}',
        '{"index": 2, "time": 14, "type": "ok", "process": 2, "f": "dequeue", "value": 1}',
        '{"index": 3, "time": 14, "type": "ok", "process": 2, "f": "dequeue", "value": 2}',
        '{"index": 4, "time": 15, "type": "ok", "process": 2, "f": "drain", '
        '"value": {"jepsenvm/edn": "[3 [4]]"}, "node": "n2"}',
        '{"index": 5, "time": 16, "type": "ok", "process": 2, "f": "drain", "value": []}',
        '{"index": 6, "time": 17, "type": "fail", "process": 2, "f": "drain", "value": [5]}',
        '{"index": 7, "time": 18, "type": "info", "process": "nemesis", "f": "a b", '
        '"value": {"x": [1.5, null]}, '
        r'"data": {"jepsenvm/edn": "{\"jepsenvm/edn\" 1}"}}',
        '{"index": 8, "time": 19, "type": "ok", "process": 4, "f": "dequeue", "value": "last", '
        '"node": "-5", "error": "+1.5", "jepsenvm-end": 9}',
    ]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, True),
        (True, True),
        (7, True),
        ("a", True),
        (1.5, True),
        (float("nan"), False),
        (float("inf"), False),
        (Keyword(":a"), False),
        ([], True),
        ([1, [Keyword(":a")]], False),
        ((1,), False),
        ({}, True),
        ({"a": [1]}, True),
        ({"a": (1,)}, False),
        ({1: 1}, False),
        ({"a": 1, Keyword(":b"): 2}, False),
        ({"jepsenvm/edn": 1}, False),
        ({"a": {"jepsenvm/edn": 1}}, False),
        (frozenset(), False),
    ],
)
def test_what_json_gives_back_as_it_is(value: Any, plain: bool) -> None:
    assert export._is_json(value) is plain


@pytest.mark.parametrize("ops", [0, 1, 2, 3, 4, 5, 6, 7])
def test_all_lines_are_written_in_parts(monkeypatch: pytest.MonkeyPatch, ops: int) -> None:
    monkeypatch.setattr(export, "LINES_PER_WRITE", 3)
    parts: list[bytes] = []

    class Out(BytesIO):
        def write(self, data: Any) -> int:
            parts.append(data)
            return len(data)

    FORMATS["edn"](from_ops(Op("ok", "x", value) for value in range(ops)), Out())
    assert [part.count(b"\n") for part in parts] == [3] * (ops // 3) + [ops % 3] * (ops % 3 > 0)
    assert b"".join(parts).count(b":index") == ops


CSV_HEADER = '"index","time","type","process","f","value","node","error","data","offset"\n'


def test_the_csv_of_a_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "CHUNK_ROWS", 1)  # two chunks
    assert written(recorded(tmp_path / "h.arrow"), "csv") == CSV_HEADER + (
        '0,5,"invoke",1,"enqueue",7,"n1",,,\n'
        '1,6,"info",1,"enqueue",7,,"no ""confirm""",,\n'
        '2,7,"ok",2,"dequeue",7,,,"{""redelivered"": true}",0\n'
        '3,8,"info",-1,"inject",,,,"{""window"": 1}",\n'
        '4,9,"ok",3,"drain",,,,,\n'
        '5,10,"info",-1,"stop",,"n2",,"[]",\n'
    )


def test_the_csv_of_a_foreign_history() -> None:
    assert written(from_ops(FOREIGN), "csv") == CSV_HEADER + (
        '0,12,"invoke",1,"enqueue","[:a ""=1""]","\'=n1",,,\n'
        '1,13,"fail",-2,":f","nil",,":e","{""jepsenvm/edn"": ""{:k 1}""}",3\n'
        '2,14,"ok",2,"dequeue","1",,,,\n'
        '3,14,"ok",2,"dequeue","2",,,,\n'
        '4,15,"ok",2,"dequeue","3","n2",,,\n'
        '5,15,"ok",2,"dequeue","[4]","n2",,,\n'
        '6,15,"ok",2,"drain","[3 [4]]","n2",,,\n'
        '7,16,"ok",2,"drain","[]",,,,\n'
        '8,17,"fail",2,"drain","[5]",,,,\n'
        '9,18,"info",-1,"a b","{""x"" [1.5 nil]}",,,'
        '"{""jepsenvm/edn"": ""{\\""jepsenvm/edn\\"" 1}""}",\n'
        '10,19,"ok",4,"dequeue","""last""","-5","+1.5",,\n'
    )


def test_the_parquet_of_a_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "CHUNK_ROWS", 1)
    with (tmp_path / "h.parquet").open("wb") as out:
        FORMATS["parquet"](recorded(tmp_path / "h.arrow"), out)
    file = parquet.ParquetFile(tmp_path / "h.parquet")
    assert [(field.name, str(field.type)) for field in file.schema_arrow] == [
        ("index", "int64"),
        ("time", "int64"),
        ("type", "string"),
        ("process", "int64"),
        ("f", "string"),
        ("value", "int64"),
        ("node", "string"),
        ("error", "string"),
        ("data", "string"),
        ("offset", "int64"),
    ]
    assert [file.metadata.row_group(part).num_rows for part in range(2)] == [2, 4]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.read().to_pydict() == {
        "index": [0, 1, 2, 3, 4, 5],
        "time": [5, 6, 7, 8, 9, 10],
        "type": ["invoke", "info", "ok", "info", "ok", "info"],
        "process": [1, 1, 2, -1, 3, -1],
        "f": ["enqueue", "enqueue", "dequeue", "inject", "drain", "stop"],
        "value": [7, 7, 7, None, None, None],
        "node": ["n1", None, None, None, None, "n2"],
        "error": [None, 'no "confirm"', None, None, None, None],
        "data": [None, None, '{"redelivered": true}', '{"window": 1}', None, "[]"],
        "offset": [None, None, 0, None, None, None],
    }


def test_the_parquet_of_a_foreign_history(tmp_path: Path) -> None:
    with (tmp_path / "h.parquet").open("wb") as out:
        FORMATS["parquet"](from_ops(FOREIGN[:2]), out)
    assert parquet.read_table(tmp_path / "h.parquet").to_pydict() == {
        "index": [0, 1],
        "time": [12, 13],
        "type": ["invoke", "fail"],
        "process": [1, -2],
        "f": ["enqueue", ":f"],
        "value": ['[:a "=1"]', "nil"],
        "node": ["=n1", None],
        "error": [None, ":e"],
        "data": [None, '{"jepsenvm/edn": "{:k 1}"}'],
        "offset": [None, 3],
    }
