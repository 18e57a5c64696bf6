"""Errors: one line each, with the node, the command and the remedy."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.errors import (
    CommandError,
    JepsenvmError,
    RunError,
    UsageError,
    last_line,
    printable,
    printable_line,
    shorten,
    shown,
)


def test_an_error_is_one_line_with_its_node_command_and_remedy() -> None:
    error = CommandError(
        "no\nsuch file", node="n1", command="cat x", status=0, remedy="create\n it"
    )
    assert str(error) == "n1: no such file (`cat x` exited 0); create it"
    assert str(JepsenvmError("plain", command="cat x")) == "plain"


def test_exit_statuses() -> None:
    assert (UsageError("").exit_status, RunError("").exit_status) == (254, 255)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("a\n  b", "a b"),
        ([1, 2], "[1, 2]"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 57 + "..."),
    ],
)
def test_a_value_is_shortened_to_one_line(value: object, text: str) -> None:
    assert shorten(value) == text


def test_a_limit_can_be_given() -> None:
    assert shorten("abcdefgh", 6) == "abc..."


@pytest.mark.parametrize(
    ("text", "line"), [("a\n b \n\n", "b"), ("a\r\n", "a"), ("  \n", "nothing"), ("", "nothing")]
)
def test_the_last_line_is_the_last_that_is_not_blank(text: str, line: str) -> None:
    assert last_line(text, "nothing") == line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcode 漢字 🐇", "plain, ünïcode 漢字 🐇"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb\x7f\x9b2J", "a\\rb\\x7f\\x9b2J"),
        ("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\U000e0041", "\\U000e0041"),
        ("\udcff", "\\udcff"),
        ("two\n\tlines", "two\n\tlines"),
    ],
)
def test_what_controls_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_a_printable_line_can_be_printed(text: str) -> None:
    line = printable_line(text)
    line.encode()
    assert not {unicodedata.category(character) for character in line if character != "\t"} & {
        "Cc",
        "Cs",
        "Zl",
        "Zp",
    }


def test_every_value_can_be_shown() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert shown(nested) == "a deeply nested value"
    assert shown([10**5000]) == "a very long number"
    assert len(shown("x" * 1000)) <= 60
