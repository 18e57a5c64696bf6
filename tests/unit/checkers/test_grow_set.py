"""grow-set: Jepsen's own definition of a set's checker, planted faults and their innocent twins."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsenvm.checkers.grow_set import grow_set
from jepsenvm.checkers.model import identity
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.op import Op, Type
from jepsenvm.history.table import from_ops
from tests.unit.checkers.linear import ops


def figures(*parts: list[Op]) -> dict[str, Any]:
    found = grow_set(from_ops(chain.from_iterable(parts)))
    return {"verdict": found.verdict, **found.figures}


def read(*values: Any) -> list[Op]:
    return [Op("invoke", "read", None, 9), Op("ok", "read", list(values), 9)]


def test_what_was_added_and_read_is_valid() -> None:
    found = figures(
        ops(1, "add", 1),
        ops(2, "add", 2, "invoke", "info"),
        ops(1, "add", 3, "invoke", "fail"),
        read(2, 1),
    )
    assert found["verdict"] is Verdict.VALID
    counts = [
        found[f"{name}-count"]
        for name in ("attempt", "acknowledged", "ok", "lost", "unexpected", "recovered")
    ]
    assert counts == [3, 1, 2, 0, 0, 1]
    assert found["recovered"] == [2]


def test_lost_and_unexpected_are_invalid() -> None:
    found = figures(ops(1, "add", 1), ops(1, "add", 2), read(2, "2"))
    assert (found["verdict"], found["lost"], found["unexpected"]) == (Verdict.INVALID, [1], ["2"])
    assert figures(ops(1, "add", 1), ops(1, "add", 2), read(2, 1))["verdict"] is Verdict.VALID
    assert figures(ops(1, "add", 1), ops(1, "add", 2), read(1))["verdict"] is Verdict.INVALID
    assert figures(ops(1, "add", 1), read(1, 2))["verdict"] is Verdict.INVALID


def test_only_the_last_ok_read_counts() -> None:
    crashed = ops(8, "read", None, "invoke", "info")
    assert figures(ops(1, "add", 1), read(), read(1), crashed)["verdict"] is Verdict.VALID
    assert figures(ops(1, "add", 1), read(1), read())["verdict"] is Verdict.INVALID


@pytest.mark.parametrize(
    "reads",
    [
        [],
        [Op("invoke", "read", None, 1)],
        ops(1, "read", None, "invoke", "fail"),
        ops(1, "read"),
        ops(1, "read", 5),
    ],
    ids=["none", "unfinished", "failed", "nil", "no collection"],
)
def test_a_set_that_was_never_read_is_unknown(reads: list[Op]) -> None:
    assert figures(ops(2, "add", 1), reads)["verdict"] is Verdict.UNKNOWN


def test_an_add_acknowledged_while_it_was_read_is_no_loss() -> None:
    begin, end = read(1)
    found = figures(ops(1, "add", 1), [begin], ops(1, "add", 2), [end])
    assert (found["verdict"], found["lost"], found["undecided"]) == (Verdict.UNKNOWN, [], [2])
    add = ops(1, "add", 2)
    assert figures(ops(1, "add", 1), add[:1], read(1, 2), add[1:])["verdict"] is Verdict.VALID


def test_an_empty_set_that_was_read_is_valid() -> None:
    assert figures(read())["verdict"] is Verdict.VALID


def test_counts_are_exact_where_values_are_capped() -> None:
    found = figures(*(ops(1, "add", value) for value in range(1200)), read())
    assert (found["lost-count"], len(found["lost"])) == (1200, 1000)


VALUES = st.sampled_from([0, 1, 2, 3, "1", True, None])
TYPES: st.SearchStrategy[Type] = st.sampled_from(("invoke", "ok", "fail", "info"))


@settings(max_examples=50)
@given(
    st.lists(st.builds(Op, TYPES, st.sampled_from(["add", "other"]), VALUES), max_size=20),
    st.lists(VALUES),
)
def test_it_agrees_with_jepsens_definition(adds: list[Op], values: list[Any]) -> None:
    attempts = {identity(op.value) for op in adds if (op.type, op.f) == ("invoke", "add")}
    added = {identity(op.value) for op in adds if (op.type, op.f) == ("ok", "add")}
    final = {identity(value) for value in values}
    expected = {
        "lost": added - final,
        "unexpected": final - attempts,
        "recovered": (final & attempts) - added,
        "undecided": set(),
    }
    found = figures(adds, read(*values))
    assert {name: set(map(identity, found[name])) for name in expected} == expected
    assert found["ok-count"] == len(final & attempts)
    bad = expected["lost"] or expected["unexpected"]
    assert found["verdict"] is (Verdict.INVALID if bad else Verdict.VALID)
