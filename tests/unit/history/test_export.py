"""Export: an exported history reads back as the same history, in the formats of Jepsen's tools."""

from __future__ import annotations

import json
from csv import reader
from dataclasses import replace
from decimal import Decimal
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import edn_format
import pytest
from click.testing import CliRunner
from edn_format.char import Char
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Verdict, check
from jepsenvm.cli.export import command
from jepsenvm.errors import RunError, UsageError
from jepsenvm.history import edn
from jepsenvm.history.edn import Keyword
from jepsenvm.history.export import FORMATS, write_csv, write_parquet
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import NEMESIS, TYPES, Op
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History, from_ops

LONGS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
TEXTS = st.text(max_size=8) | st.sampled_from(
    [":a", '"', "\\n", "a\n{", "\u2028", "\ud800", "}", ";", "\x7f", "#_"]
)
KEYWORDS = st.sampled_from([":a", ":a/b", ":jepsen.history/foo"]).map(Keyword)
FLOATS = st.floats(allow_nan=False)
JSON_ABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    FLOATS,
    TEXTS,
    KEYWORDS,
    st.sampled_from(["a", "\n", " ", "☃", "é", "\\", "{", ";"]).map(Char),
    st.fractions(),
    st.sampled_from(["1.50", "-3", "1E+3"]).map(Decimal),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.frozensets(SCALARS, max_size=3)
        | st.dictionaries(SCALARS, inner, max_size=3)
    ),
    max_leaves=5,
)
OPS = st.builds(
    Op,
    st.sampled_from(TYPES),
    st.sampled_from(["enqueue", "dequeue", "drain", "drain", "cas"]) | TEXTS,
    VALUES,
    st.integers(min_value=-1, max_value=2**63 - 1),
    LONGS,
    st.none() | st.just("n1") | TEXTS,
    st.none() | TEXTS,
    st.none() | JSON_ABLE | VALUES,
    st.none() | st.integers(min_value=0, max_value=2**63 - 1),
)


def exact(history: History) -> list[str]:
    """Return the ops with all types as text. In Python 1 and True are equal."""
    return [edn.written([getattr(op, name) for name in Op.__slots__]) for op in history.ops()]


def read_back(history: History, format_: str, folder: Path) -> History:
    path = folder / f"exported.{format_}"
    with path.open("wb") as out:
        FORMATS[format_](history, out)
    return open_history(path)


@pytest.mark.parametrize("format_", ["edn", "jsonl"])
def test_an_exported_history_reads_back_as_the_same_history(
    format_: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("export")

    @settings(max_examples=40, deadline=None)
    @given(st.lists(OPS, max_size=6))
    def holds(ops: list[Op]) -> None:
        history = from_ops(ops)
        again = read_back(history, format_, folder)
        assert exact(again) == exact(history)
        assert again.complete

    holds()


def recorded(path: Path, *, close: bool = True) -> History:
    journal = Journal(path, count().__next__)
    journal.append("invoke", "enqueue", 7, process=1, node="n1")
    journal.append("info", "enqueue", 7, process=1, node="n2", error='no "confirm"\nat all')
    journal.append("invoke", "dequeue", process=2)
    journal.flush()
    journal.append("ok", "dequeue", 7, process=2, data={"redelivered": True}, offset=3)
    journal.append(
        "info", "inject", process=NEMESIS, data={"window": 1, "fault": {"groups": [["n1"], ["n2"]]}}
    )
    journal.append("ok", "drain", process=3)
    if close:
        journal.close()
    else:
        journal.flush()
    return open_history(path)


def written(history: History, format_: str) -> bytes:
    out = BytesIO()
    FORMATS[format_](history, out)
    return out.getvalue()


@pytest.mark.parametrize("format_", ["edn", "jsonl"])
def test_a_run_reads_back_as_the_same_history(format_: str, tmp_path: Path) -> None:
    history = recorded(tmp_path / "history.arrow")
    assert list(read_back(history, format_, tmp_path).ops()) == list(history.ops())


def test_edn_has_the_form_that_jepsen_writes(tmp_path: Path) -> None:
    assert written(recorded(tmp_path / "history.arrow"), "edn").decode().splitlines() == [
        '{:index 0, :time 0, :type :invoke, :process 1, :f :enqueue, :value 7, :node "n1", '
        ":jepsenvm {}}",
        "{:index 1, :time 1, :type :info, :process 1, :f :enqueue, :value 7, "
        r':node "n2", :error "no \"confirm\"\nat all"}',
        "{:index 2, :time 2, :type :invoke, :process 2, :f :dequeue, :value nil}",
        "{:index 3, :time 3, :type :ok, :process 2, :f :dequeue, :value 7, "
        ':data {"redelivered" true}, :offset 3}',
        "{:index 4, :time 4, :type :info, :process :nemesis, :f :inject, :value nil, "
        ':data {"fault" {"groups" [["n1"] ["n2"]]}, "window" 1}}',
        "{:index 5, :time 5, :type :ok, :process 3, :f :drain, :value nil, :jepsenvm-end 6}",
    ]


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_edn_format_reads_the_written_values(value: Any) -> None:
    [form] = edn_format.loads_all(edn.written(value))
    assert edn.written(edn._converted(form)) == edn.written(value)


def test_json_marks_the_values_that_it_cannot_represent() -> None:
    history = from_ops(
        [
            Op("ok", "read", [Keyword(":a"), 1]),
            Op("ok", "read", [None, 1.5]),
            Op("ok", "read", (1,)),
        ]
    )
    values = [json.loads(line)["value"] for line in written(history, "jsonl").splitlines()]
    assert values == [{"jepsenvm/edn": "[:a 1]"}, [None, 1.5], {"jepsenvm/edn": "[1]"}]


def test_the_values_of_a_drain_are_written_once(tmp_path: Path) -> None:
    sent = [Op(type_, "enqueue", value) for value in (1, 2) for type_ in TYPES[:2]]
    history = from_ops(
        [*sent, Op("ok", "dequeue", 1), Op("ok", "drain", [1, 2]), Op("ok", "drain", [])]
    )
    for format_ in ("edn", "jsonl"):
        assert total_queue(read_back(history, format_, tmp_path)).figures["duplicated"] == [1]


@pytest.mark.parametrize("format_", ["edn", "jsonl"])
def test_the_export_of_a_history_cut_short_is_unknown(format_: str, tmp_path: Path) -> None:
    history = recorded(tmp_path / "history.arrow", close=False)
    results = check(read_back(history, format_, tmp_path), {"total-queue": total_queue})
    assert results.verdict is Verdict.UNKNOWN
    assert "cut short" in results.reasons[0]


@pytest.mark.parametrize("format_", ["edn", "jsonl"])
@pytest.mark.parametrize("complete", [False, True])
def test_the_export_of_a_damaged_history_accuses_nobody(
    format_: str, tmp_path: Path, *, complete: bool
) -> None:
    lost = [Op("invoke", "enqueue", 1), Op("ok", "enqueue", 1), Op("ok", "drain", [])]
    damaged = replace(from_ops(lost, complete=complete), damage="a changed bit")
    again = read_back(damaged, format_, tmp_path)
    assert again.damage == "a changed bit"
    assert not again.complete
    for history in (damaged, again):
        assert check(history, {"total-queue": total_queue}).verdict is Verdict.UNKNOWN


def test_parquet_and_csv_have_a_row_for_each_op(tmp_path: Path) -> None:
    history = recorded(tmp_path / "history.arrow")
    with (tmp_path / "h.parquet").open("wb") as out:
        write_parquet(history, out)
    with (tmp_path / "h.csv").open("wb") as out:
        write_csv(history, out)
    table = parquet.read_table(tmp_path / "h.parquet").to_pydict()
    assert table["index"] == [0, 1, 2, 3, 4, 5]
    assert table["type"] == ["invoke", "info", "invoke", "ok", "info", "ok"]
    assert table["value"] == [7, 7, None, 7, None, None]
    assert table["node"] == ["n1", "n2", None, None, None, None]
    assert table["process"][4] == NEMESIS
    assert table["offset"] == [None, None, None, 3, None, None]
    assert json.loads(table["data"][4])["window"] == 1
    options = csv.ConvertOptions(column_types={"error": "string"}, strings_can_be_null=True)
    parse = csv.ParseOptions(newlines_in_values=True)
    read = csv.read_csv(
        tmp_path / "h.csv", convert_options=options, parse_options=parse
    ).to_pydict()
    assert {name: read[name] for name in ("value", "f", "node", "error")} == {
        name: table[name] for name in ("value", "f", "node", "error")
    }


def test_tables_have_foreign_values_as_edn() -> None:
    out = BytesIO()
    write_parquet(
        from_ops([Op("ok", "read", value) for value in (Keyword(":a"), ":a", 1, None)]), out
    )
    assert parquet.read_table(BytesIO(out.getvalue()))["value"].to_pylist() == [
        ":a",
        '":a"',
        "1",
        "nil",
    ]


@pytest.mark.parametrize("format_", list(FORMATS))
def test_an_empty_history_can_be_exported(format_: str) -> None:
    assert isinstance(written(from_ops([]), format_), bytes)


def export(*arguments: object) -> str:
    result = CliRunner().invoke(
        command, [str(argument) for argument in arguments], catch_exceptions=False
    )
    return result.output


@pytest.mark.parametrize("format_", list(FORMATS))
def test_the_command_writes_beside_a_run_and_overwrites_only_by_force(
    format_: str, tmp_path: Path
) -> None:
    recorded(tmp_path / "history.arrow")
    target = tmp_path / f"history.{format_}"
    assert export(tmp_path, "--format", format_) == f"{target}\n"
    first = target.read_bytes()
    target.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        export(tmp_path / "history.arrow", "--format", format_)
    assert target.read_text() == "precious"
    export(tmp_path, "--format", format_, "--force")
    assert target.read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.arrow", target.name]


def test_the_command_writes_to_stdout_and_to_the_given_file(tmp_path: Path) -> None:
    history = recorded(tmp_path / "history.arrow")
    assert export(tmp_path, "--format", "edn", "-o", "-") == written(history, "edn").decode()
    export(tmp_path, "--format", "jsonl", "-o", tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == written(history, "jsonl")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "--format", "edn"], "there is no such history"),
        ([".", "--format", "xml"], "unknown format 'xml'; known: edn, jsonl, parquet, csv"),
        (["h.txt", "--format", "edn"], "unknown kind of history"),
        (["h.edn", "--format", "csv", "-o", "-"], "csv does not go to stdout"),
    ],
)
def test_the_command_refuses_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("h.txt").write_text("")
    Path("h.edn").write_text("")
    with pytest.raises(UsageError) as refused:
        export(*arguments)
    assert says in str(refused.value)


def test_a_target_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    recorded(tmp_path / "history.arrow")
    with pytest.raises(RunError, match="cannot be written"):
        export(tmp_path, "--format", "edn", "-o", tmp_path / "no" / "such.edn")


def test_csv_has_no_formulas() -> None:
    name = "=HYPERLINK(1)"
    ops = [
        Op("invoke", name, 1, 1, 1, "+n1"),
        Op("info", "enqueue", 1, 1, 2, "-n1", error="@x"),
        Op("info", "enqueue", 1, 1, 3, "n1", error="\t=1"),
        Op("info", "enqueue", 1, 1, 4, "n1", error="- no answer"),
        Op("info", "enqueue", 1, 1, 5, "n1", error="-5"),
    ]
    out = BytesIO()
    write_csv(from_ops(ops), out)
    cells = list(reader(out.getvalue().decode().splitlines()))
    header, *rows = cells
    columns = {key: [row[header.index(key)] for row in rows] for key in header}
    assert columns["f"][0] == f"'{name}"
    assert columns["node"][:2] == ["'+n1", "'-n1"]
    assert columns["error"] == ["", "'@x", "'\t=1", "'- no answer", "-5"]
    assert columns["process"][0] == "1"
