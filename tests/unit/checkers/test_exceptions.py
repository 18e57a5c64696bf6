"""exceptions: errors that differ only in numbers are one error, counted by node."""

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
from jepsenvm.history.units import SECOND


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
    result = figures(
        op("port 5672: reset by 10.0.0.1", at=7), op("port 5672: reset by 10.0.0.22", "n2", at=3)
    )
    assert result["errors"] == [
        {
            "f": "enqueue",
            "error": "port 5672: reset by 10.0.0.N",
            "count": 2,
            "first": 3.0,
            "nodes": {"n1": 1, "n2": 1},
        }
    ]
    assert (result["error-count"], result["different-count"]) == (2, 1)


def test_numbers_that_are_the_same_in_all_texts_are_kept() -> None:
    (result,) = figures(op("no confirm within 5 s"), op("no confirm within 5 s"))["errors"]
    assert (result["error"], result["nodes"]) == ("no confirm within 5 s", {"n1": 2})


def test_the_most_frequent_error_is_first_and_each_f_is_separate() -> None:
    result = figures(op("nacked", f="dequeue"), op("nacked", type_="fail"), op("nacked", None))[
        "errors"
    ]
    assert [(row["f"], row["count"]) for row in result] == [("enqueue", 2), ("dequeue", 1)]
    assert result[0]["nodes"] == {"-": 1, "n1": 1}


def test_ok_ops_and_nemesis_records_have_no_errors_of_clients() -> None:
    nemesis = Op("info", "start", process=NEMESIS, error="could not be injected")
    result = figures(op(None), op("odd", type_="ok"), op("odd", type_="invoke"), nemesis)
    assert result == {"error-count": 0, "different-count": 0, "errors": []}


def test_counts_are_exact_although_the_list_is_cut() -> None:
    result = figures(*(op("x" * number) for number in range(1, 151)))
    assert (result["error-count"], result["different-count"], len(result["errors"])) == (
        150,
        150,
        100,
    )


@given(st.lists(st.text(alphabet="ab N0123\u0663", max_size=5), max_size=30))
def test_groups_are_the_texts_that_are_equal_without_their_numbers(texts: list[str]) -> None:
    result = figures(*(op(text) for text in texts))
    expected = Counter(re.sub(r"\d+", "#", text) for text in texts)
    assert sorted(row["count"] for row in result["errors"]) == sorted(expected.values())
    assert result["error-count"] == len(texts)
