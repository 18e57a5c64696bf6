"""total-queue: Jepsen's own cases, planted faults and their innocent twins, and agreement with the definition."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.op import Op, Type
from jepsenvm.history.table import from_ops
from jepsenvm.plan.config import Plan
from jepsenvm.workloads.queue import WORKLOAD


def enqueue(value: Any, *types: Type, node: str | None = None) -> list[Op]:
    return [Op(type_, "enqueue", value, node=node) for type_ in types]


def dequeue(value: Any) -> list[Op]:
    return [Op("invoke", "dequeue"), Op("ok", "dequeue", value)]


def figures(*ops: list[Op], drain_required: bool = False) -> dict[str, Any]:
    result = total_queue(from_ops(op for part in ops for op in part), drain_required=drain_required)
    return {"verdict": result.verdict, **result.figures}


def test_an_empty_history_is_valid() -> None:
    assert figures()["verdict"] is Verdict.VALID


def test_jepsens_sane_case_an_unacknowledged_message_comes_back() -> None:
    found = figures(enqueue(1, "invoke"), enqueue(2, "invoke", "ok"), dequeue(1), dequeue(2))
    assert found["verdict"] is Verdict.VALID
    assert (found["recovered"], found["lost"], found["ok-count"]) == ([1], [], 2)


def test_jepsens_pathological_case() -> None:
    found = figures(
        enqueue("hung", "invoke"),
        enqueue("enqueued", "invoke", "ok"),
        enqueue("dup", "invoke", "ok"),
        [Op("invoke", "dequeue")],
        dequeue("wtf"),
        dequeue("dup"),
        dequeue("dup"),
    )
    assert found["verdict"] is Verdict.INVALID
    assert found["lost"] == ["enqueued"]
    assert found["unexpected"] == ["wtf"]
    assert found["duplicated"] == ["dup"]
    assert found["recovered"] == []
    counts = [found[f"{name}-count"] for name in ("attempt", "acknowledged", "ok", "lost", "duplicated", "unexpected")]
    assert counts == [3, 2, 1, 1, 1, 1]


def test_a_duplicate_alone_is_valid() -> None:
    found = figures(enqueue(1, "invoke", "ok"), dequeue(1), dequeue(1))
    assert (found["verdict"], found["duplicated"]) == (Verdict.VALID, [1])


def test_an_unacknowledged_message_that_never_comes_back_is_no_loss() -> None:
    assert figures(enqueue(1, "invoke", "info"), enqueue(2, "invoke", "fail"))["verdict"] is Verdict.VALID


def test_the_elements_of_a_drain_are_dequeues() -> None:
    drain = [Op("invoke", "drain"), Op("ok", "drain", [1, 2])]
    found = figures(enqueue(1, "invoke", "ok"), enqueue(2, "invoke", "ok"), enqueue(3, "invoke", "ok"), drain)
    assert (found["verdict"], found["lost"]) == (Verdict.INVALID, [3])


@pytest.mark.parametrize(
    "drain",
    [
        [Op("invoke", "drain"), Op("info", "drain")],
        [Op("invoke", "drain")],
        [Op("invoke", "drain"), Op("fail", "drain")],
        [Op("invoke", "drain", process=1), Op("ok", "drain", [], 1), Op("invoke", "drain", process=2)],
    ],
    ids=["crashed", "unfinished", "failed", "one of two unfinished"],
)
def test_an_incomplete_drain_decides_nothing(drain: list[Op]) -> None:
    found = figures(enqueue(1, "invoke", "ok"), drain)
    assert (found["verdict"], found["lost-count"], found["undecided-count"]) == (Verdict.UNKNOWN, 0, 1)


def test_an_incomplete_drain_does_not_hide_an_unexpected_message() -> None:
    assert figures([Op("invoke", "drain")], dequeue(7))["verdict"] is Verdict.INVALID


def test_a_failed_drain_that_was_repeated_decides() -> None:
    drains = [Op("invoke", "drain"), Op("fail", "drain"), Op("invoke", "drain"), Op("ok", "drain", [])]
    assert figures(enqueue(1, "invoke", "ok"), drains)["lost"] == [1]


def test_a_run_without_any_drain_decides_nothing() -> None:
    found = figures(enqueue(1, "invoke", "ok"), drain_required=True)
    assert (found["verdict"], found["lost-count"]) == (Verdict.UNKNOWN, 0)


@pytest.mark.parametrize(("sent", "came"), [(1, "1"), (1, 1.0), (1, True), (0, False), ("a", None), (0, None)])
def test_values_of_different_types_are_different_values(sent: Any, came: Any) -> None:
    found = figures(enqueue(sent, "invoke", "ok"), dequeue(came))
    assert (found["lost"], found["unexpected"]) == ([sent], [came])


def test_counts_are_exact_where_values_are_capped() -> None:
    found = figures(*(enqueue(value, "invoke", "ok") for value in range(1500)))
    assert (found["lost-count"], len(found["lost"])) == (1500, 1000)


VALUES = st.integers(min_value=-3, max_value=4) | st.just(10**15) | st.sampled_from(["a", None])
OPS = st.lists(
    st.builds(
        Op, st.sampled_from(["invoke", "ok", "fail", "info"]), st.sampled_from(["enqueue", "dequeue", "other"]), VALUES
    ),
    max_size=30,
)


@given(OPS)
def test_it_agrees_with_the_definition(ops: list[Op]) -> None:
    attempts = Counter(repr(op.value) for op in ops if (op.type, op.f) == ("invoke", "enqueue"))
    acknowledged = Counter(repr(op.value) for op in ops if (op.type, op.f) == ("ok", "enqueue"))
    dequeued = Counter(repr(op.value) for op in ops if (op.type, op.f) == ("ok", "dequeue"))
    ok = dequeued & attempts
    unexpected = Counter({value: count for value, count in dequeued.items() if value not in attempts})
    expected = {
        "lost": acknowledged - dequeued,
        "unexpected": unexpected,
        "duplicated": dequeued - attempts - unexpected,
        "recovered": ok - acknowledged,
    }
    found = figures(ops)
    assert {name: Counter(map(repr, found[name])) for name in expected} == expected
    assert (found["attempt-count"], found["acknowledged-count"]) == (attempts.total(), acknowledged.total())
    assert found["ok-count"] == ok.total()
    bad = expected["lost"] or expected["unexpected"]
    assert found["verdict"] is (Verdict.INVALID if bad else Verdict.VALID)


def test_it_is_the_same_function_that_runs_are_judged_by() -> None:
    checker = WORKLOAD.checkers(Plan())["total-queue"]
    assert isinstance(checker, partial)
    assert checker.func is total_queue
    assert checker.keywords == {"drain_required": True}
