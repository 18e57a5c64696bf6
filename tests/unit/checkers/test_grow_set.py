"""grow-set: planted violations, similar legal histories, and Jepsen's definition of the checker."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsenvm.checkers.grow_set import grow_set
from jepsenvm.checkers.value_key import value_key
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.op import Op, Type
from jepsenvm.history.table import from_ops
from tests.unit.builders import history, operation, with_verdict


def figures(*parts: list[Op]) -> dict[str, Any]:
    return with_verdict(grow_set(history(*parts)))


def read(*values: Any) -> list[Op]:
    return [Op("invoke", "read", None, 9), Op("ok", "read", list(values), 9)]


def test_added_elements_that_are_read_are_valid() -> None:
    result = figures(
        operation(1, "add", 1),
        operation(2, "add", 2, "invoke", "info"),
        operation(1, "add", 3, "invoke", "fail"),
        read(2, 1),
    )
    assert result["verdict"] is Verdict.VALID
    counts = [
        result[f"{name}-count"]
        for name in ("attempt", "acknowledged", "ok", "lost", "unexpected", "recovered")
    ]
    assert counts == [3, 1, 2, 0, 0, 1]
    assert result["recovered"] == [2]


def test_lost_and_unexpected_elements_are_invalid() -> None:
    result = figures(operation(1, "add", 1), operation(1, "add", 2), read(2, "2"))
    assert (result["verdict"], result["lost"], result["unexpected"]) == (
        Verdict.INVALID,
        [1],
        ["2"],
    )
    assert (
        figures(operation(1, "add", 1), operation(1, "add", 2), read(2, 1))["verdict"]
        is Verdict.VALID
    )
    assert (
        figures(operation(1, "add", 1), operation(1, "add", 2), read(1))["verdict"]
        is Verdict.INVALID
    )
    assert figures(operation(1, "add", 1), read(1, 2))["verdict"] is Verdict.INVALID


def test_only_the_last_ok_read_counts() -> None:
    crashed = operation(8, "read", None, "invoke", "info")
    assert figures(operation(1, "add", 1), read(), read(1), crashed)["verdict"] is Verdict.VALID
    assert figures(operation(1, "add", 1), read(1), read())["verdict"] is Verdict.INVALID


@pytest.mark.parametrize(
    "reads",
    [
        [],
        [Op("invoke", "read", None, 1)],
        operation(1, "read", None, "invoke", "fail"),
        operation(1, "read"),
        operation(1, "read", 5),
    ],
    ids=["none", "unfinished", "failed", "nil", "no collection"],
)
def test_a_set_without_an_ok_read_is_unknown(reads: list[Op]) -> None:
    assert figures(operation(2, "add", 1), reads)["verdict"] is Verdict.UNKNOWN


def test_an_add_acknowledged_during_the_read_is_undecided() -> None:
    begin, end = read(1)
    result = figures(operation(1, "add", 1), [begin], operation(1, "add", 2), [end])
    assert (result["verdict"], result["lost"], result["undecided"]) == (Verdict.UNKNOWN, [], [2])
    add = operation(1, "add", 2)
    assert figures(operation(1, "add", 1), add[:1], read(1, 2), add[1:])["verdict"] is Verdict.VALID


def test_an_empty_set_that_was_read_is_valid() -> None:
    assert figures(read())["verdict"] is Verdict.VALID


def test_counts_are_exact_although_the_lists_are_cut() -> None:
    result = figures(*(operation(1, "add", value) for value in range(1200)), read())
    assert (result["lost-count"], len(result["lost"])) == (1200, 1000)


VALUES = st.sampled_from([0, 1, 2, 3, "1", True, None])
TYPES: st.SearchStrategy[Type] = st.sampled_from(("invoke", "ok", "fail", "info"))


@settings(max_examples=50)
@given(
    st.lists(st.builds(Op, TYPES, st.sampled_from(["add", "other"]), VALUES), max_size=20),
    st.lists(VALUES),
)
def test_it_agrees_with_jepsens_definition(adds: list[Op], values: list[Any]) -> None:
    attempts = {value_key(op.value) for op in adds if (op.type, op.f) == ("invoke", "add")}
    added = {value_key(op.value) for op in adds if (op.type, op.f) == ("ok", "add")}
    final = {value_key(value) for value in values}
    expected = {
        "lost": added - final,
        "unexpected": final - attempts,
        "recovered": (final & attempts) - added,
        "undecided": set(),
    }
    result = figures(adds, read(*values))
    assert {name: set(map(value_key, result[name])) for name in expected} == expected
    assert result["ok-count"] == len(final & attempts)
    bad = expected["lost"] or expected["unexpected"]
    assert result["verdict"] is (Verdict.INVALID if bad else Verdict.VALID)


def keyed_read(key: Any, *values: Any) -> list[Op]:
    return [Op("invoke", "read", [key, None], 9), Op("ok", "read", [key, frozenset(values)], 9)]


def test_each_key_is_a_set_of_its_own() -> None:
    adds = [operation(0, "add", ["a", 1]), operation(0, "add", ["b", 2])]
    result = figures(*adds, keyed_read("a", 1), keyed_read("b", 2))
    assert (result["verdict"], result["ok-count"]) == (Verdict.VALID, 2)
    assert figures(*adds, keyed_read("a", 1), keyed_read("b"))["lost"] == [2]
    assert figures(*adds, keyed_read("a", 1, 2), keyed_read("b", 2))["unexpected"] == [2]
    result = figures(*adds, keyed_read("a", 1))
    assert (result["verdict"], result["lost-count"]) == (Verdict.UNKNOWN, 0)
    assert "no read of the set" in result["reasons"][-1]


def test_pairs_that_are_read_without_a_key_are_elements() -> None:
    result = figures(operation(0, "add", [1, 2]), read([1, 2]))
    assert (result["verdict"], result["ok-count"]) == (Verdict.VALID, 1)


def test_a_set_that_is_cut_short_accuses_nobody() -> None:
    cut = from_ops([*operation(0, "add", 1), *read()], complete=False)
    assert grow_set(cut).verdict is Verdict.UNKNOWN
