"""The engine: agreement with the definition, and searches that end."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings

from jepsenvm.checkers.calls import calls
from jepsenvm.checkers.linearizable import Bounds, Linearization, linearize
from jepsenvm.checkers.lock import MUTEX
from jepsenvm.checkers.register import CAS_REGISTER
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import from_ops
from tests.unit.checkers.linear import by_definition, histories, ops

REGISTER_OPS = [
    ("read", None),
    ("write", 1),
    ("write", 2),
    ("cas", [1, 2]),
    ("cas", [2, 1]),
    ("cas", [1, 1]),
]


def register_calls(history: list[Op]) -> Linearization:
    return linearize(calls(from_ops(history), "read", "write", "cas")[0], CAS_REGISTER)


def many_swaps_in_doubt(layers: int) -> list[Op]:
    """Compare-and-sets in doubt, from each of two values of a layer to each of the next: 2 ** layers ways lead up."""
    steps = [
        [2 * layer + low, 2 * layer + 2 + high]
        for layer in range(layers)
        for low in range(2)
        for high in range(2)
    ]
    doubts = [Op("invoke", "cas", step, process) for process, step in enumerate(steps)]
    return [*ops(5000, "write", 0), *doubts, *ops(5000, "read", -1)]


def test_no_call_at_all_is_linearizable() -> None:
    assert linearize([], CAS_REGISTER).verdict is Verdict.VALID


@settings(max_examples=50, deadline=None)
@given(histories(REGISTER_OPS, [None, 1, 2], retire=False, most=5))
def test_registers_agree_with_the_definition(history: list[Op]) -> None:
    found = calls(from_ops(history), "read", "write", "cas")[0]
    expected = by_definition(found, CAS_REGISTER)
    assert linearize(found, CAS_REGISTER).verdict is (
        Verdict.VALID if expected else Verdict.INVALID
    )


@settings(max_examples=50, deadline=None)
@given(histories([("acquire", None), ("release", None)], [None], retire=False, most=5))
def test_mutexes_agree_with_the_definition(history: list[Op]) -> None:
    found = calls(from_ops(history), "acquire", "release")[0]
    expected = by_definition(found, MUTEX)
    assert linearize(found, MUTEX).verdict is (Verdict.VALID if expected else Verdict.INVALID)


def test_the_first_call_that_no_order_explains_is_named() -> None:
    history = [
        *ops(0, "write", 1),
        Op("invoke", "write", 2, 1),
        *ops(2, "read", 1),
        *ops(2, "read", 3),
        Op("ok", "write", 2, 1),
        *ops(2, "read", 4),
    ]
    found = register_calls(history)
    assert found.stuck is not None
    assert (found.verdict, found.stuck.answered) == (Verdict.INVALID, 3)
    assert [call.process for call in found.concurrent] == [1]
    assert set(found.states) == {("int", "1"), ("int", "2")}


def test_a_process_that_goes_on_after_a_doubt_leaves_its_op_open() -> None:
    doubtful = ops(0, "write", 1, "invoke", "info")
    late = [*ops(0, "write", 2), *ops(0, "read", 2), *ops(0, "read", 1)]
    assert register_calls(doubtful + late).verdict is Verdict.VALID
    assert register_calls(doubtful + late + ops(0, "read", 2)).verdict is Verdict.INVALID


def test_an_op_that_never_completed_may_take_effect_or_not() -> None:
    never = [Op("invoke", "write", 1, 0)]
    assert register_calls([*never, *ops(1, "read", 1)]).verdict is Verdict.VALID
    assert register_calls([*never, *ops(1, "read", None)]).verdict is Verdict.VALID
    assert register_calls([*ops(1, "read", 1), *never]).verdict is Verdict.INVALID


def test_the_nemesis_is_no_client() -> None:
    nemesis = [Op("info", "write", 9, NEMESIS), Op("ok", "read", 9, NEMESIS)]
    assert calls(from_ops(nemesis), "read", "write") == ([], [])


def test_many_like_ops_in_doubt_cost_little() -> None:
    doubts = [Op("invoke", "write", process % 5, process) for process in range(500)]
    reads = [op for number in range(500) for op in ops(1000, "read", number % 5)]
    found = register_calls(doubts + reads)
    assert (found.verdict, found.explored < 5000) == (Verdict.VALID, True)
    assert (
        register_calls(doubts + reads + ops(1000, "read", 0) + ops(1000, "read", 7)).verdict
        is Verdict.INVALID
    )


@pytest.mark.parametrize("bounds", [Bounds(configurations=1000), Bounds(steps=10_000)])
def test_a_search_ends_at_its_bounds(bounds: Bounds) -> None:
    found = linearize(
        calls(from_ops(many_swaps_in_doubt(40)), "read", "write", "cas")[0], CAS_REGISTER, bounds
    )
    assert found.verdict is Verdict.UNKNOWN
    assert (
        found.reason
        == f"search ended after {min(found.explored, bounds.configurations):,} configurations"
    )


def test_a_search_ends_at_its_deadline() -> None:
    ticks = count()
    bounds = Bounds(clock=lambda: next(ticks), deadline=100)
    found = linearize(
        calls(from_ops(many_swaps_in_doubt(40)), "read", "write", "cas")[0], CAS_REGISTER, bounds
    )
    assert (found.verdict, found.reason) == (
        Verdict.UNKNOWN,
        f"search ended after {found.explored:,} configurations, out of time",
    )


def test_a_long_history_needs_no_recursion() -> None:
    history = [
        op for number in range(1500) for op in (*ops(0, "write", number), *ops(1, "read", number))
    ]
    assert register_calls(history).verdict is Verdict.VALID


def test_many_concurrent_writes_in_a_legal_order_are_found_without_trying_all() -> None:
    invokes = [Op("invoke", "write", process, process) for process in range(14)]
    oks = [Op("ok", "write", process, process) for process in range(14)]
    assert register_calls([*invokes, *oks, *ops(50, "read", 7)]).verdict is Verdict.VALID
