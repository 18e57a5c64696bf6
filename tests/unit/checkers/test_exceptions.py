"""exceptions: errors that differ only in numbers are one, counted by node."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.exceptions import exceptions
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.op import NEMESIS, Op, Type
from jepsenvm.history.table import from_ops

SECOND = 1_000_000_000


def op(
    error: str | None,
    node: str | None = "n1",
    f: str = "enqueue",
    type_: Type = "info",
    at: int = 1,
) -> Op:
    return Op(type_, f, process=1, node=node, error=error, time=at * SECOND)


def figures(*ops: Op) -> Any:
    result = exceptions(from_ops(ops))
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())
    return result.figures


def test_texts_that_differ_in_numbers_are_one_error() -> None:
    found = figures(
        op("port 5672: reset by 10.0.0.1", at=7), op("port 5672: reset by 10.0.0.22", "n2", at=3)
    )
    assert found["errors"] == [
        {
            "f": "enqueue",
            "error": "port 5672: reset by 10.0.0.N",
            "count": 2,
            "first": 3.0,
            "nodes": {"n1": 1, "n2": 1},
        }
    ]
    assert (found["error-count"], found["different-count"]) == (2, 1)


def test_numbers_that_are_the_same_in_all_are_kept() -> None:
    (found,) = figures(op("no confirm within 5 s"), op("no confirm within 5 s"))["errors"]
    assert (found["error"], found["nodes"]) == ("no confirm within 5 s", {"n1": 2})


def test_the_most_frequent_comes_first_and_an_f_stands_for_itself() -> None:
    found = figures(op("nacked", f="dequeue"), op("nacked", type_="fail"), op("nacked", None))[
        "errors"
    ]
    assert [(row["f"], row["count"]) for row in found] == [("enqueue", 2), ("dequeue", 1)]
    assert found[0]["nodes"] == {"-": 1, "n1": 1}


def test_what_is_no_error_of_a_client() -> None:
    nemesis = Op("info", "start", process=NEMESIS, error="could not be injected")
    found = figures(op(None), op("odd", type_="ok"), op("odd", type_="invoke"), nemesis)
    assert found == {"error-count": 0, "different-count": 0, "errors": []}


def test_counts_are_exact_where_the_list_is_capped() -> None:
    found = figures(*(op("x" * number) for number in range(1, 151)))
    assert (found["error-count"], found["different-count"], len(found["errors"])) == (150, 150, 100)


@given(st.lists(st.text(alphabet="ab N0123\u0663", max_size=5), max_size=30))
def test_groups_are_what_is_the_same_without_its_numbers(texts: list[str]) -> None:
    found = figures(*(op(text) for text in texts))
    expected = Counter(re.sub(r"\d+", "#", text) for text in texts)
    assert sorted(row["count"] for row in found["errors"]) == sorted(expected.values())
    assert found["error-count"] == len(texts)
