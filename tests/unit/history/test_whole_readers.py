"""Readers of EDN and JSON: the whole history or the whole error of each kind of file."""

from __future__ import annotations

import errno
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.history.edn import Keyword, Tagged
from jepsenvm.history.op import NEMESIS, NO_PROCESS, Op
from jepsenvm.history.readers import _require_shallow, open_history, read_edn, read_json
from jepsenvm.history.table import History


def opened(tmp_path: Path, name: str, text: str | bytes) -> History:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_history(path)


def facts(history: History) -> tuple[Any, ...]:
    """Return all that a history says but its ops."""
    return history.complete, history.damage, history.plan, tuple(history.doubts)


PLAIN = (True, None, None, ())
CUT_SHORT = (False, None, None, ())


def assert_ops(history: History, expected: list[Op]) -> None:
    # The text has the types, too: in Python 1 and True are equal.
    assert list(map(repr, history.ops())) == list(map(repr, expected))


def refusal(tmp_path: Path, name: str, text: str | bytes) -> tuple[str, str | None]:
    """Return the message, without the folder, and the remedy."""
    with pytest.raises(UsageError) as refused:
        opened(tmp_path, name, text)
    return refused.value.message.replace(f"{tmp_path}/", ""), refused.value.remedy


EDN = """\
; written by hand
{:index 0, :time 12, :type :invoke, :process 3, :f :enqueue, :value 7, :node "n1"}
{:time 13.9 :type "ok" :process 3 :f "enqueue" :value "7" :node :n2 :error nil :x {:y 1}}

{:type info :f sym :process :nemesis :value [:a {"b" #{nil}}] :error [:t "a"] :data {:w 1}}
{:type :fail :f :cas :process "nemesis" :value 1.5M :error "no" :offset 9 :node nil}
{:type :ok, :f :drain, :value [4 #{5}], :process 2, :time 20, :node "n3" :error :e :data [] \
:offset 0}
{:type :ok :f :read :value nil :time nil :offset nil :process -1} {:type :ok :f 5 :time -3 \
:offset -1 :process 0}
"""
EDN_OPS = [
    Op("invoke", "enqueue", 7, 3, 12, "n1"),
    Op("ok", "enqueue", "7", 3, 13, "n2"),
    Op(
        "info",
        "sym",
        [Keyword(":a"), {"b": frozenset({None})}],
        NEMESIS,
        error='[:t "a"]',
        data={Keyword(":w"): 1},
    ),
    Op("fail", "cas", Decimal("1.5"), NEMESIS, error="no", offset=9),
    Op("ok", "dequeue", 4, 2, 20, "n3"),
    Op("ok", "dequeue", frozenset({5}), 2, 20, "n3"),
    Op("ok", "drain", [4, frozenset({5})], 2, 20, "n3", ":e", [], 0),
    Op("ok", "read", None, NO_PROCESS),
    Op("ok", "5", None, 0, -3),
]


@pytest.mark.parametrize("shape", ["{}", "[{}]", "\ufeff({})\n"])
def test_a_whole_history_in_edn(tmp_path: Path, shape: str) -> None:
    history = opened(tmp_path, "h.edn", shape.replace("{}", EDN))
    assert_ops(history, EDN_OPS)
    assert facts(history) == PLAIN
    assert history.names == ["enqueue", "sym", "cas", "dequeue", "drain", "read", "5"]
    assert history.nodes == ["n1", "n2", "n3"]


JSON_LINES = [
    '{"index": 0, "time": 12, "type": "invoke", "process": 3, "f": "enqueue", "value": 7, '
    '"node": "n1"}',
    '{"time": 13.9, "type": ":ok", "process": 3, "f": ":enqueue", "value": "7", "node": ":n2", '
    '"error": null, "x": {"y": 1}}',
    '{"type": "info", "f": "::f", "process": "nemesis", "value": ["a", {"b": [null, true]}], '
    '"error": ["t", 1.5], "data": {"w": 1}}',
    '{"type": "fail", "f": "cas", "process": ":nemesis", "value": {"jepsenvm/edn": "1.5M"}, '
    '"error": "no", "offset": 9, "node": null}',
    '{"type": "ok", "f": "drain", "value": [4, "5"], "process": 2, "time": 20, "node": "n3", '
    '"error": "e", "data": [], "offset": 0}',
    '{"type": "ok", "f": "read", "value": null, "time": "1", "offset": 1.5, "process": "7"}',
    '{"type": "ok", "f": 5, "time": true, "process": 0, "node": 6, "value": {"x": {"y": []}}}',
]
JSON_OPS = [
    Op("invoke", "enqueue", 7, 3, 12, "n1"),
    Op("ok", "enqueue", "7", 3, 13, ":n2"),
    Op(
        "info",
        ":f",
        ["a", {"b": [None, True]}],
        NEMESIS,
        error='["t" 1.5]',
        data={"w": 1},
    ),
    Op("fail", "cas", Decimal("1.5"), NEMESIS, error="no", offset=9),
    Op("ok", "dequeue", 4, 2, 20, "n3"),
    Op("ok", "dequeue", "5", 2, 20, "n3"),
    Op("ok", "drain", [4, "5"], 2, 20, "n3", "e", [], 0),
    Op("ok", "read", None, NO_PROCESS),
    Op("ok", "5", {"x": {"y": []}}, 0, 1, "6"),
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("h.jsonl", "\n".join(JSON_LINES)),
        ("h.json", "\n \n" + "\r\n\r\n".join(JSON_LINES) + "\n\n"),
        ("h.json", f"[{','.join(JSON_LINES)}]"),
        ("h.jsonl", f" \n[ {' , '.join(JSON_LINES)} ]\n \n"),
        ("h.json", f"\ufeff[\n{' '.join(JSON_LINES)}]"),
        ("h.json", f"[{','.join(JSON_LINES)},]"),
    ],
)
def test_a_whole_history_in_json(tmp_path: Path, name: str, text: str) -> None:
    history = opened(tmp_path, name, text)
    assert_ops(history, JSON_OPS)
    assert facts(history) == PLAIN


@pytest.mark.parametrize("name", ["h.json", "h.jsonl", "h.edn"])
@pytest.mark.parametrize("text", ["", " \n", "[]", " [ ]\n"])
def test_an_empty_history_is_complete(tmp_path: Path, name: str, text: str) -> None:
    history = opened(tmp_path, name, text)
    assert_ops(history, [])
    assert facts(history) == PLAIN


X, Y = '{"type": "ok", "f": "x"}', '{"type": "ok", "f": "y"}'
EX, EY = "{:type :ok :f :x}", "{:type :ok :f :y}"
OP_X, OP_Y = Op("ok", "x", process=NO_PROCESS), Op("ok", "y", process=NO_PROCESS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("h.jsonl", f"{X}\n{Y}\n" + '{"type"'),
        ("h.jsonl", f"{X}\n{Y}\n" + '{"type": "ok", "f": "z'),
        ("h.jsonl", f"{X}\n{Y}\n" + "{'f'"),
        ("h.json", f"[{X}, {Y}"),
        ("h.json", f"[{X}, {Y}, \n"),
        ("h.json", f"[{X}, {Y}, " + '{"type"'),
        ("h.json", f"[{X}, {Y}, " + '{"type": "ok", "f": "z'),
        ("h.json", f"[{X}, {Y}, " + '{"type": "ok", "f": \n '),
        ("h.edn", f"{EX}\n{EY}\n{{"),
        ("h.edn", f'{EX}\n{EY}\n{{:type "a'),
        ("h.edn", f"[{EX}\n{EY}\n{{:type"),
    ],
)
def test_all_ops_before_a_cut_are_read(tmp_path: Path, name: str, text: str) -> None:
    history = opened(tmp_path, name, text)
    assert_ops(history, [OP_X, OP_Y])
    assert facts(history) == CUT_SHORT


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_cut_within_a_character(tmp_path: Path, mark: str) -> None:
    history = opened(tmp_path, "h.edn", f'{mark}{EX}\n{{:f "é'.encode()[:-1])
    assert_ops(history, [OP_X])
    assert facts(history) == CUT_SHORT


JSON_PROBLEM = "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
TEXT_AFTER = (
    "not EDN: there is text after the history's end; give one vector of maps, or one map per line"
)
F_REMEDY = "give each op its :f, such as :enqueue"
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("name", "text", "message", "remedy"),
    [
        ("h.txt", "", "h.txt: unknown kind of history",
         "Jepsen writes the same history as history.edn; check that file"),
        ("h.edn.gz", "", "h.edn.gz: unknown kind of history", "unpack it first, as with gunzip"),
        ("h.csv", "", "h.csv: unknown kind of history",
         "known endings: .arrow, .edn, .json, .jsonl"),
        ("h.edn", b"\x1f\x8bx", "h.edn: compressed", "unpack it first, as with gunzip"),
        ("h.edn", b"ab\xffcd", "h.edn: not UTF-8 text: 'utf-8' codec can't decode byte 0xff in "
         "position 2: invalid start byte", None),
        ("h.edn", b"ab\xc3 cd", "h.edn: not UTF-8 text: 'utf-8' codec can't decode byte 0xc3 in "
         "position 2: invalid continuation byte", None),
        # JSON lines
        ("h.jsonl", f"{X}\n\n{{\n{Y}\n", "h.jsonl:3: not JSON: Expecting property name enclosed "
         "in double quotes: line 2 column 1 (char 2)", None),
        ("h.jsonl", f"{X}\n{{1}}\n", f"h.jsonl:2: not JSON: {JSON_PROBLEM}", None),
        ("h.jsonl", f"{X}\n{X} {Y}\n{Y}", "h.jsonl:2: not JSON: Extra data: line 1 column 26 "
         "(char 25)", None),
        ("h.jsonl", f"{X}\n" + '{"a": 1, "a": 2}', "h.jsonl:2: not JSON: an object has a key "
         "twice", None),
        ("h.jsonl", f"{X}\n{DEEP}\n", "h.jsonl:2: the JSON is nested too deeply", None),
        ("h.jsonl", '{"jepsenvm/edn": "1 2"}', "h.jsonl:1: not EDN: expected one form, found 2",
         None),
        ("h.jsonl", '{"jepsenvm/edn": 7}', "h.jsonl:1: an op is a map, found 7", None),
        ("h.jsonl", json.dumps({"jepsenvm/edn": "9" * 5000}),
         "h.jsonl:1: not EDN: Exceeds the limit (4300 digits) for integer string conversion: "
         "value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit", None),
        ("h.jsonl", "9" * 5000,
         "h.jsonl:1: not JSON: Exceeds the limit (4300 digits) for integer string conversion: "
         "value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit", None),
        # An array of JSON
        ("h.json", f"[{X}] 1", "h.json: there is text after the array of ops", None),
        ("h.json", f"[{X}, }}, {Y}]", "h.json: op 2: not JSON: Expecting value: line 1 column 28 "
         "(char 27)", None),
        ("h.json", '[{"a"', "h.json: op 1: not JSON: Expecting ':' delimiter: line 1 column 6 "
         "(char 5)", None),
        ("h.json", '[{"a', "h.json: op 1: not JSON: Unterminated string starting at: line 1 "
         "column 3 (char 2)", None),
        ("h.json", "[", "h.json: op 1: not JSON: Expecting value: line 1 column 2 (char 1)", None),
        ("h.json", f"[{','.join([X] * 1233)} {{1}}]", "h.json: op 1,234: not JSON: Expecting "
         "property name enclosed in double quotes: line 1 column 30828 (char 30827)", None),
        ("h.json", f"[{X}, {DEEP}", "h.json: op 2: the JSON is nested too deeply", None),
        ("h.json", f"[{X}, " + '{"a": 1, "a": 2}]', "h.json: op 2: not JSON: an object has a key "
         "twice", None),
        ("h.json", f"[{X}, 1]", "h.json: op 2: an op is a map, found 1", None),
        # EDN
        ("h.edn", "\n{:type", "h.edn:2: not EDN: the text ends within this form", None),
        ("h.edn", "[\n\n{:type", "h.edn:3: not EDN: the text ends within this form", None),
        ("h.edn", f"{EX}\n\n{EY} ]\n", f"h.edn:3: {TEXT_AFTER}", None),
        ("h.edn", f"{EX}\n[1 2]\n{EY}\n", "h.edn:2: an op is a map, found [1, 2]", None),
        ("h.edn", f"[{EX}\n{EY}\n", "h.edn:1: not EDN: a vector is never closed", None),
        ("h.edn", f"{EX}\n\n{{:a 1 :a 2}}", "h.edn:3: not EDN: a map has a key twice", None),
        # Ops
        ("h.edn", f"{EX}\n{{:f :x}}", "h.edn:2: the key 'type' must be one of invoke, ok, fail, "
         "info, found ''", None),
        ("h.edn", "{:type :maybe :f :x}", "h.edn:1: the key 'type' must be one of invoke, ok, "
         "fail, info, found 'maybe'", None),
        ("h.edn", f"{EX}\n\n{{:type :ok}}", "h.edn:3: the key 'f' is missing", F_REMEDY),
        ("h.edn", "{:type :ok :f nil}", "h.edn:1: the key 'f' is missing", F_REMEDY),
        ("h.edn", "{:type :ok :f [1]}", "h.edn:1: the key 'f' must be a keyword or a string, "
         "found [1]", None),
        ("h.edn", "{:type :ok :f {}}", "h.edn:1: the key 'f' must be a keyword or a string, "
         "found {}", None),
        ("h.edn", "{:type :ok :f #{}}", "h.edn:1: the key 'f' must be a keyword or a string, "
         "found frozenset()", None),
        ("h.edn", "{:type :ok :f #t 1}", "h.edn:1: the key 'f' must be a keyword or a string, "
         "found Tagged(tag='t', form=1)", None),
    ],
)  # fmt: skip
def test_the_whole_error_of_each_unreadable_file(
    tmp_path: Path, name: str, text: str | bytes, message: str, remedy: str | None
) -> None:
    assert refusal(tmp_path, name, text) == (message, remedy)


def test_long_problems_are_shortened_to_two_hundred_characters(tmp_path: Path) -> None:
    long = "x" * 300
    in_json = json.dumps({"jepsenvm/edn": f'#uuid ["{long}"]'})
    for name, text in (("h.edn", f'#uuid ["{long}"]'), ("h.jsonl", in_json)):
        message, remedy = refusal(tmp_path, name, text)
        assert message.startswith(f"{name}:1: not EDN: ")
        assert len(message) <= len(f"{name}:1: not EDN: ") + 200
        assert remedy is None


INT64 = [("time", 2**63 - 1), ("time", -(2**63)), ("offset", 2**63 - 1), ("process", 2**63 - 1)]


@pytest.mark.parametrize(("key", "number"), INT64)
def test_the_greatest_numbers_of_64_bits(tmp_path: Path, key: str, number: int) -> None:
    [op] = opened(tmp_path, "h.edn", f"{{:type :ok :f :x :{key} {number}}}").ops()
    assert getattr(op, key) == number


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("time", str(2**63)),
        ("time", str(-(2**63) - 1)),
        ("time", "##NaN"),
        ("time", "##Inf"),
        ("time", "1e300"),
        ("offset", str(2**63)),
        ("process", str(2**63)),
        ("process", str(-(2**63) - 1)),
    ],
)
def test_numbers_of_more_than_64_bits(tmp_path: Path, key: str, number: str) -> None:
    text = f"{EX}\n{{:type :ok :f :x :{key} {number}}}"
    assert refusal(tmp_path, "h.edn", text) == (
        f"h.edn:2: the key '{key}' must be a number of 64 bits",
        None,
    )


@pytest.mark.parametrize("key", ["value", "error", "data", "node"])
def test_the_depth_of_an_op_ends_at_the_limit(tmp_path: Path, key: str) -> None:
    # The innermost list has no content, so a list of 100 levels has 100 containers.
    for depth in (2, 99, 100):
        op = f'{{"type": "ok", "f": "x", "{key}": [1, {"[" * (depth - 1)}{"]" * (depth - 1)}]}}'
        assert len(list(opened(tmp_path, "h.jsonl", op).ops())) == 1
    for inside in ("[", '{"a": '):
        deep = inside * 101 + "1" + ("]" if inside == "[" else "}") * 101
        op = f'{X}\n{{"type": "ok", "f": "x", "{key}": [1, {deep}, 2]}}'
        assert refusal(tmp_path, "h.jsonl", op) == (
            f"h.jsonl:2: the key '{key}' is nested more than 100 deep",
            None,
        )


def nested(depth: int) -> tuple[Any, ...]:
    """Return tuples around a number: this many of them."""
    return (nested(depth - 1),) if depth > 1 else (1,)


def test_the_contents_of_keys_and_tagged_forms_count_too() -> None:
    def around(depth: int) -> list[Any]:
        content = nested(depth)
        return [Tagged("t", content), {content: 1}, {1: content}, frozenset({content}), [content]]

    for value in around(98):
        _require_shallow(value, "data")
    for value in around(99):
        with pytest.raises(UsageError) as refused:
            _require_shallow(value, "data")
        assert refused.value.message == "the key 'data' is nested more than 100 deep"


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "h.edn"
    folder.mkdir()
    for path, message, remedy in (
        (tmp_path / "no.edn", "No such file or directory", None),
        (folder, "not a file", "give the file of a history"),
    ):
        with pytest.raises(UsageError) as refused:
            open_history(path)
        assert (refused.value.message, refused.value.remedy) == (f"{path}: {message}", remedy)


def test_a_file_that_the_disk_does_not_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_bytes", fails)
    for read in (read_edn, read_json):
        with pytest.raises(UsageError) as refused:
            read(tmp_path / "h.edn")
        assert (refused.value.message, refused.value.remedy) == (
            f"{tmp_path}/h.edn: Input/output error",
            None,
        )


# Ops that mean nothing without a value.


def test_the_ops_without_a_value_are_counted_by_name(tmp_path: Path) -> None:
    needs = [
        *("invoke enqueue", "ok enqueue", "ok dequeue", "invoke add", "ok add"),
        *("invoke write", "invoke cas", "ok read"),
    ]
    needs_none = [
        *("fail enqueue", "info enqueue", "invoke dequeue", "info add", "ok write", "ok cas"),
        *("invoke read", "ok drain", "ok x"),
    ]
    text = (
        "\n".join("{{:type :{} :f :{}}}".format(*op.split()) for op in needs + needs_none)
        + "{:type :ok :f :read :value nil}"
    )
    history = opened(tmp_path, "h.edn", text)
    assert facts(history) == (
        True,
        None,
        None,
        (
            "2 add ops have no value",
            "1 cas op has no value",
            "1 dequeue op has no value",
            "2 enqueue ops have no value",
            "1 read op has no value",
            "1 write op has no value",
        ),
    )
    many = opened(tmp_path, "h.edn", "{:type :ok :f :add}" * 1234)
    assert facts(many) == (True, None, None, ("1,234 add ops have no value",))


# The marks of an export.


def exported(*ops: str) -> str:
    return "\n".join(f"{{:type :ok :f :x{op}}}" for op in ops)


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        (("", ""), PLAIN),
        ((" :jepsenvm {}", "", " :jepsenvm-end 3"), PLAIN),
        ((" :jepsenvm {} :jepsenvm-end 1",), PLAIN),
        ((' :jepsenvm {:plan "p"}', " :jepsenvm-end 2"), (True, None, "p", ())),
        ((' :jepsenvm {"plan" "p"}', " :jepsenvm-end 2"), (True, None, "p", ())),
        ((" :jepsenvm {:plan 7}", " :jepsenvm-end 2"), PLAIN),
        ((" :jepsenvm {:plam 7}", " :jepsenvm-end 2"), PLAIN),
        ((" :jepsenvm 7", " :jepsenvm-end 2"), PLAIN),
        # The last op is missing.
        ((' :jepsenvm {:plan "p"}', ""), (False, None, "p", ())),
        ((" :jepsenvm {}",), CUT_SHORT),
        ((" :jepsenvm 7",), CUT_SHORT),
        # An op in the middle is missing, or there are too many.
        (
            (" :jepsenvm {}", " :jepsenvm-end 3"),
            (False, "it has 2 of 3 exported ops", None, ()),
        ),
        (
            (" :jepsenvm {}", " :jepsenvm-end 1"),
            (False, "it has 2 of 1 exported ops", None, ()),
        ),
        (
            (*[""] * 1233, ' :jepsenvm-end "a"'),
            (False, "it has 1,234 of 'a' exported ops", None, ()),
        ),
        # Parts of a file that are repeated or moved.
        (
            (" :jepsenvm {}", " :jepsenvm-end 2", ""),
            (False, "more ops follow the last op of an export", None, ()),
        ),
        (
            ("", ' :jepsenvm {:plan "p"}', " :jepsenvm-end 3"),
            (False, "the first op of an export comes after other ops", "p", ()),
        ),
    ],
)
def test_the_marks_of_an_export(
    tmp_path: Path, ops: tuple[str, ...], expected: tuple[Any, ...]
) -> None:
    history = opened(tmp_path, "h.edn", exported(*ops))
    assert facts(history) == expected
    assert_ops(history, [OP_X] * len(ops))


def test_an_export_that_is_cut_within_its_last_op(tmp_path: Path) -> None:
    history = opened(tmp_path, "h.edn", exported(" :jepsenvm {}", "") + "{:type :ok")
    assert facts(history) == CUT_SHORT


def test_names_are_not_taken_from_other_forms(tmp_path: Path) -> None:
    [op] = opened(tmp_path, "h.edn", "{:type :ok :f 2/3 :node [1] :process #t 1}").ops()
    assert op == Op("ok", "2/3", None, NO_PROCESS, node="[1]")
