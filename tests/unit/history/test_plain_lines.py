"""Lines of EDN in columns: the same history as edn reads one form at a time, whatever the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsenvm.errors import UsageError
from jepsenvm.history import edn, plain_lines, readers
from jepsenvm.history.plain_lines import PlainLines, PlainRows
from jepsenvm.history.readers import open_history

LINE = "{:type :ok, :f :read, :value 3, :process 0, :time 7, :index 1}"


def rows_in_columns(text: str) -> int:
    """Return how many ops of a text are read in columns."""
    forms = [form for form, _ in edn.elements(text, PlainLines(text).at)]
    return sum(len(form) for form in forms if isinstance(form, PlainRows))


def read(path: Path) -> Any:
    """Return everything about the history in a file, or the error that it gives."""
    try:
        history = open_history(path)
    except UsageError as problem:
        return problem.message, problem.remedy
    ops = [(repr(op), type(op.value)) for op in history.ops()]  # NaN differs from NaN
    labels = [(type(label), repr(label)) for label in history.labels or ()]
    codes = [(chunk.value.tolist(), chunk.f.tolist(), chunk.node.tolist()) for chunk in history]
    about = (history.complete, history.damage, history.doubts, history.plan)
    return ops, labels, codes, history.names, history.nodes, about


def read_one_by_one(path: Path) -> Any:
    """Return the same as ``read``, without columns."""
    with patch.object(readers, "PlainLines") as lines:
        lines.return_value.at = None
        return read(path)


KEYS = ("type", "f", "value", "process", "time", "index", "node")
PLAIN = {
    "type": st.sampled_from([":invoke", ":ok", ":fail", ":info"]),
    "f": st.sampled_from([":read", ":write", ":cas", ":enqueue", ":drain", ":a-b", ":x2"]),
    "value": st.integers(-3, 3).map(str)
    | st.sampled_from(["nil", "true", "false", ":a", "[1 2]", "[1, 2]", "[nil 1]", "9" * 18])
    | st.lists(st.integers(-9, 9), min_size=1, max_size=3).map(edn.written),
    "process": st.integers(0, 9).map(str),
    "time": st.integers(-5, 10**17).map(str),
    "index": st.integers(0, 99).map(str),
    "node": st.sampled_from(['"n1"', '"n2"', '""', '"a b, :type :ok "', '"é"', '"{;#"']),
}
HOSTILE = st.sampled_from(
    [
        "", "01", "-0", "+1", "1.0", "1N", "1M", "1/2", "-", "9" * 19, "9" * 400, "٣", "1.50M",
        ":a/b", ":", ":é", "::a", ":a:b", "\\a", '"x"', '"a\\"b"', '"\\u0041"', '"line\\n"', "nil nil",
        "#{1 1.0}", "#{1 2}", "{1 2}", "{:a 1, :a 2}", "[[1]]", "[]", "[1", "1]", "(1 2)", "[1 1.0]",
        "#inst \"2020-01-01\"", "#foo 1", "#_ 1 2", "; x", "^{:a 1} [1]", ":nemesis", "-1", "true",
        '"\n{:type :ok, :f :read, :value 3, :process 0, :time 7}\n"', "#_\n1 2", "\t1", "\u20281", "\x00",
        "False", "NIL", "nil}", "{", "}", ":ok}", "x", "##NaN", "1e3", ":ok :f :write", "[1 2 01]",
    ]
)  # fmt: skip


@st.composite
def lines(draw: st.DrawFn, keys: tuple[str, ...]) -> str:
    """Draw a line that is plain, or that differs from a plain one in a place."""
    values = {key: draw(PLAIN[key]) for key in keys}
    kind = draw(st.integers(0, 11))
    if kind == 0:
        values[draw(st.sampled_from(keys))] = draw(HOSTILE)
    blanks = draw(st.sampled_from([" ", "  ", ", ", "\t", ",\n"])) if kind == 1 else " "
    order = draw(st.permutations(keys)) if kind == 2 else list(keys)
    if kind == 3:
        order = order[: draw(st.integers(0, len(keys)))] + draw(st.sampled_from([[], [keys[0]]]))
    entries = f"{draw(st.sampled_from([',', '']))}{blanks}".join(
        f":{key}{blanks}{values[key]}" for key in order
    )
    line = f"{{{entries}}}"
    if kind == 4:
        line = draw(st.sampled_from(["#jepsen.history.Op{}", "#jepsen.history.Op {}"])).replace(
            "{}", line
        )
    if kind == 5:
        other = draw(st.sampled_from(["#_", "#_\n", ";", "[", "]", "}", "#foo ", ", ", " ", '"']))
        line = draw(st.sampled_from([f"{other}{line}", f"{line}{other}", other, f"{line}{line}"]))
    if kind == 6:
        line = line[: draw(st.integers(0, len(line)))]
    return line


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Draw the text of a history that has some plain lines."""
    keys = ("type", "f", "value", "process", "time", *draw(st.sampled_from(["", "n", "i", "ni"])))
    known = tuple({"n": "node", "i": "index"}.get(key, key) for key in keys)
    ordered = tuple(draw(st.permutations(known)))
    first = [draw(lines(ordered)) for _ in range(draw(st.integers(0, 2)))]
    content = "\n".join([*first, *draw(st.lists(lines(ordered), max_size=12))])
    content += draw(st.sampled_from(["\n", "", "\r\n", "\n\n"]))
    return draw(st.sampled_from([content, content, content, f"[{content}]", f"[\n{content}]"]))


@settings(max_examples=400, deadline=None)
@given(texts(), st.sampled_from([1, 100, 1 << 20]))
def test_columns_and_single_forms_give_the_same_history(
    tmp_path_factory: pytest.TempPathFactory, text: str, block_characters: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "history.edn"
    path.write_text(text, newline="", encoding="utf-8")
    with patch.object(plain_lines, "BLOCK_CHARACTERS", block_characters):
        assert read(path) == read_one_by_one(path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (LINE, 4),
        (LINE.replace(",", ""), 4),
        (f"#jepsen.history.Op{LINE}", 4),
        (LINE.replace(" 3", " nil"), 4),
        (LINE.replace(" 3", " [1 nil]"), 4),
        (LINE.replace(":read", ":drain"), 4),
        (LINE.replace(":index 1", ':node "n1"'), 4),
        (LINE.replace(", :index 1", ""), 4),
        (LINE.replace(":read", ":drain").replace(" 3", " [1 2]"), 0),
        (LINE.replace(" 3", " -0"), 0),
        (LINE.replace(" 3", " 3.0"), 0),
        (LINE.replace(" 3", ' "3"'), 0),
        (LINE.replace(" 3", f" {'9' * 19}"), 0),
        (LINE.replace("process 0", "process :nemesis"), 0),
        (LINE.replace("process 0", "process -1"), 0),
        (LINE.replace(":value 3, ", ""), 0),
        (LINE.replace(":index", ":error"), 0),
        (LINE.replace(":ok", ":okay"), 0),
        (f" {LINE}", 0),
        (f"{LINE} ", 0),
        (LINE.replace(" 3", "  3"), 0),
    ],
)
def test_only_lines_whose_meaning_is_certain_are_read_in_columns(line: str, expected: int) -> None:
    assert rows_in_columns(f"{line}\n" * 4) == expected


@pytest.mark.parametrize(("old", "new"), [(" 3", " 03"), (":index", ":time"), (" 3", " 3:a")])
def test_lines_that_are_refused_are_refused_in_columns_too(old: str, new: str) -> None:
    with pytest.raises(edn.EdnError):
        rows_in_columns(f"{LINE}\n" * 8 + LINE.replace(old, new))


def test_a_line_within_a_string_or_after_a_discard_is_no_op() -> None:
    text = f"{LINE}\n" * 9
    assert rows_in_columns(text) == 9
    assert rows_in_columns(f'{text}{{:type :ok :f :x :value "\n{LINE}\n{LINE}\n"}}\n{text}') == 18
    assert rows_in_columns(f"{text}#_\n{LINE}\n{text}") == 18
    assert rows_in_columns(f"{text}{{:type :ok, :f :x, :value\n{LINE}\n}}\n{text}") == 18


def test_blocks_without_enough_plain_lines_are_not_read_in_columns() -> None:
    assert rows_in_columns(f"{LINE}\n{LINE} \n" * 4) == 0
    assert rows_in_columns(f"{LINE}\n" * 8 + f"{LINE} \n") == 8
