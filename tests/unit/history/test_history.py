"""Histories: written as they happen, readable after a crash, and read from other people's formats."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Verdict, check
from jepsenvm.errors import UsageError
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.readers import open_history


def journal(path: Path) -> Journal:
    ticks = count()
    return Journal(path, lambda: next(ticks))


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "history.arrow"
    written = journal(path)
    written.append("invoke", "enqueue", 7, process=1, node="n1")
    written.flush()
    written.append("info", "enqueue", 7, process=1, node="n2", error="no confirm")
    written.append("info", "start", process=NEMESIS, data={"window": 1})
    written.close()
    history = open_history(path)
    assert list(history.ops()) == [
        Op("invoke", "enqueue", 7, 1, 0, "n1"),
        Op("info", "enqueue", 7, 1, 1, "n2", "no confirm"),
        Op("info", "start", None, NEMESIS, 2, None, None, {"window": 1}),
    ]
    assert history.complete
    assert [op.f for op in history.nemesis_ops()] == ["start"]


def test_a_journal_that_was_never_closed_has_what_was_flushed_and_is_not_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "history.arrow"
    written = journal(path)
    for value in range(100):
        written.append("invoke", "enqueue", value, process=0)
        written.flush()
    written.append("invoke", "enqueue", 100, process=0)  # never flushed: lost with the process
    assert list(open_history(path).values("invoke", "enqueue")) == list(range(100))
    assert check(open_history(path), {"total-queue": total_queue}).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("cut", [1, 9, 100, 333])
def test_a_file_torn_in_the_middle_of_a_batch_is_read_up_to_there(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "history.arrow"
    written = journal(path)
    for value in range(10):
        written.append("invoke", "enqueue", value, process=0)
        written.flush()
    written.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    history = open_history(path)
    seen = list(history.values("invoke", "enqueue"))
    assert seen == list(range(len(seen)))
    assert len(seen) >= 8
    assert not history.complete


def test_an_existing_history_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "h.arrow").write_text("precious")
    with pytest.raises(Exception, match="cannot write the history"):
        journal(tmp_path / "h.arrow")
    assert (tmp_path / "h.arrow").read_text() == "precious"


SANE_EDN = """\
{:index 0, :time 12, :type :invoke, :process 1, :f :enqueue, :value 7}
; a comment, an unknown key, and a nemesis
{:type :info, :process :nemesis, :f :start, :value nil, :extra {:a #{1 2}}}
{:index 1, :time 13, :type :ok, :process 1, :f :enqueue, :value 7}
{:type :invoke, :f :dequeue, :value nil}
{:type :ok, :f :dequeue, :value 7}
"""
SANE_JSONL = """\
{"index": 0, "time": 12, "type": "invoke", "process": 1, "f": "enqueue", "value": 7}
{"type": "ok", "process": 1, "f": "enqueue", "value": 7, "extra": [1]}

{"type": "ok", "process": 2, "f": "dequeue", "value": 7}
"""


def judged(tmp_path: Path, name: str, text: str) -> dict[str, Any]:
    path = tmp_path / name
    path.write_text(text)
    return dict(check(open_history(path), {"total-queue": total_queue}).as_data())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("empty.edn", ""),
        ("empty.jsonl", ""),
        ("empty-vector.edn", "[]"),
        ("sane.edn", SANE_EDN),
        ("vector.edn", f"[{SANE_EDN}]"),
        ("sane.jsonl", SANE_JSONL),
        ("multiline.edn", SANE_EDN.replace(", :", ",\n  :")),
        ("record.edn", SANE_EDN.replace("{:index", "#jepsen.history.Op{:index")),
        ("string-names.edn", '{:type "invoke" :f "enqueue" :value 1}'),
    ],
)
def test_valid_foreign_histories(tmp_path: Path, name: str, text: str) -> None:
    assert judged(tmp_path, name, text)["verdict"] == "valid"


@pytest.mark.parametrize(
    "value", ["7", "nil", "true", '"x"', ":k", "1.5", "2/3", "9007199254740993", r"\a", "-1"]
)
def test_any_edn_scalar_can_be_lost(tmp_path: Path, value: str) -> None:
    text = (
        f"{{:type :invoke :f :enqueue :value {value}}}\n{{:type :ok :f :enqueue :value {value}}}\n"
    )
    found = judged(tmp_path, "h.edn", text)["checkers"]["total-queue"]
    assert (found["lost-count"], found["verdict"]) == (1, "invalid")


def test_a_keyword_is_not_the_string_of_its_name(tmp_path: Path) -> None:
    text = '{:type :invoke :f :enqueue :value ":a"}{:type :ok :f :enqueue :value ":a"}{:type :ok :f :dequeue :value :a}'
    found = judged(tmp_path, "h.edn", text)["checkers"]["total-queue"]
    assert (found["lost-count"], found["unexpected-count"]) == (1, 1)


def test_several_maps_on_one_line_all_count(tmp_path: Path) -> None:
    text = "{:type :invoke :f :enqueue :value 1} {:type :ok :f :enqueue :value 1}"
    assert judged(tmp_path, "h.edn", text)["checkers"]["total-queue"]["lost"] == [1]


def test_an_edn_drain(tmp_path: Path) -> None:
    text = SANE_EDN.replace(":ok, :f :dequeue, :value 7", ":ok, :f :drain, :value [7 8]")
    found = judged(tmp_path, "h.edn", text)["checkers"]["total-queue"]
    assert (found["lost"], found["unexpected"]) == ([], [8])


def test_json_lines_cut_off_in_the_last_line_are_unknown(tmp_path: Path) -> None:
    assert (
        judged(tmp_path, "h.jsonl", SANE_JSONL + '{"type": "ok", "f": "deq')["verdict"] == "unknown"
    )


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.edn", "{:type :maybe :f :enqueue}", "a.edn:1: the key 'type' must be one of"),
        ("a.edn", "\n{:type :ok}", "a.edn:2: the key 'f' is missing"),
        ("a.edn", "{:type :ok :f", "a.edn:1: not EDN"),
        ("a.edn", "[1\n2]", "a.edn:1: an op is a map"),
        ("a.edn", "[] []", "a.edn:1: not EDN: there is text after the history's end"),
        ("a.jsonl", "{}\n", "a.jsonl:1: the key 'type'"),
        ("a.jsonl", "{\n{}\n", "a.jsonl:1: not JSON"),
        ("a.jsonl", "[1]\n", "an op is a map"),
        ("a.arrow", "what", "not a history of jepsenvm"),
        ("a.txt", "", "unknown kind of history"),
    ],
)
def test_unreadable_histories_are_refused_with_their_line(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as refused:
        check(open_history(tmp_path / name), {})
    assert says in str(refused.value)
    assert refused.value.exit_status == 254


def test_offsets_come_back_from_the_journal(tmp_path: Path) -> None:
    written = Journal(tmp_path / "history.arrow", count().__next__)
    written.append("ok", "read", 7, process=1, offset=3)
    written.append("ok", "read", 8, process=1)
    written.close()
    assert [(op.value, op.offset) for op in open_history(tmp_path / "history.arrow").ops()] == [
        (7, 3),
        (8, None),
    ]
