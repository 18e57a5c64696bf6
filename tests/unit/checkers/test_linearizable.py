"""The search for a linearization: agreement with the definition, and bounds."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings

from jepsenvm.checkers.client_calls import client_calls
from jepsenvm.checkers.linearizable import Bounds, Linearization, linearize
from jepsenvm.checkers.mutual_exclusion import MUTEX
from jepsenvm.checkers.register import CAS_REGISTER
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import from_ops
from tests.unit.builders import operation
from tests.unit.checkers.linearizability import by_definition, histories

REGISTER_OPS = [
    ("read", None),
    ("write", 1),
    ("write", 2),
    ("cas", [1, 2]),
    ("cas", [2, 1]),
    ("cas", [1, 1]),
]


def linearize_register(history: list[Op]) -> Linearization:
    return linearize(client_calls(from_ops(history), "read", "write", "cas")[0], CAS_REGISTER)


def many_swaps_in_doubt(layers: int) -> list[Op]:
    """Return compare-and-sets in doubt between layers of two values, and a read of no value.

    Each value of a layer is swapped for each value of the next, so the search has 2 ** layers
    paths to try.
    """
    steps = [
        [2 * layer + low, 2 * layer + 2 + high]
        for layer in range(layers)
        for low in range(2)
        for high in range(2)
    ]
    doubts = [Op("invoke", "cas", step, process) for process, step in enumerate(steps)]
    return [*operation(5000, "write", 0), *doubts, *operation(5000, "read", -1)]


def test_an_empty_history_is_linearizable() -> None:
    assert linearize([], CAS_REGISTER).verdict is Verdict.VALID


@settings(max_examples=50, deadline=None)
@given(histories(REGISTER_OPS, [None, 1, 2], retire=False, most=5))
def test_registers_agree_with_the_definition(history: list[Op]) -> None:
    calls = client_calls(from_ops(history), "read", "write", "cas")[0]
    expected = by_definition(calls, CAS_REGISTER)
    assert linearize(calls, CAS_REGISTER).verdict is (
        Verdict.VALID if expected else Verdict.INVALID
    )


@settings(max_examples=50, deadline=None)
@given(histories([("acquire", None), ("release", None)], [None], retire=False, most=5))
def test_mutexes_agree_with_the_definition(history: list[Op]) -> None:
    calls = client_calls(from_ops(history), "acquire", "release")[0]
    expected = by_definition(calls, MUTEX)
    assert linearize(calls, MUTEX).verdict is (Verdict.VALID if expected else Verdict.INVALID)


def test_the_first_call_that_no_order_explains_is_named() -> None:
    history = [
        *operation(0, "write", 1),
        Op("invoke", "write", 2, 1),
        *operation(2, "read", 1),
        *operation(2, "read", 3),
        Op("ok", "write", 2, 1),
        *operation(2, "read", 4),
    ]
    result = linearize_register(history)
    assert result.stuck is not None
    assert (result.verdict, result.stuck.answered) == (Verdict.INVALID, 3)
    assert [call.process for call in result.concurrent] == [1]
    assert set(result.states) == {("edn", "1"), ("edn", "2")}


def test_an_op_in_doubt_stays_open_when_its_process_goes_on() -> None:
    doubtful = operation(0, "write", 1, "invoke", "info")
    late = [*operation(0, "write", 2), *operation(0, "read", 2), *operation(0, "read", 1)]
    assert linearize_register(doubtful + late).verdict is Verdict.VALID
    assert linearize_register(doubtful + late + operation(0, "read", 2)).verdict is Verdict.INVALID


def test_an_op_that_never_completed_may_or_may_not_take_effect() -> None:
    never = [Op("invoke", "write", 1, 0)]
    assert linearize_register([*never, *operation(1, "read", 1)]).verdict is Verdict.VALID
    assert linearize_register([*never, *operation(1, "read", None)]).verdict is Verdict.VALID
    assert linearize_register([*operation(1, "read", 1), *never]).verdict is Verdict.INVALID


def test_ops_of_the_nemesis_are_no_calls() -> None:
    nemesis = [Op("info", "write", 9, NEMESIS), Op("ok", "read", 9, NEMESIS)]
    assert client_calls(from_ops(nemesis), "read", "write") == ([], [])


def test_many_equal_ops_in_doubt_cost_little() -> None:
    doubts = [Op("invoke", "write", process % 5, process) for process in range(500)]
    reads = [op for number in range(500) for op in operation(1000, "read", number % 5)]
    result = linearize_register(doubts + reads)
    assert (result.verdict, result.explored < 5000) == (Verdict.VALID, True)
    assert (
        linearize_register(
            doubts + reads + operation(1000, "read", 0) + operation(1000, "read", 7)
        ).verdict
        is Verdict.INVALID
    )


@pytest.mark.parametrize("bounds", [Bounds(configurations=1000), Bounds(steps=10_000)])
def test_a_search_ends_at_its_bounds(bounds: Bounds) -> None:
    result = linearize(
        client_calls(from_ops(many_swaps_in_doubt(40)), "read", "write", "cas")[0],
        CAS_REGISTER,
        bounds,
    )
    assert result.verdict is Verdict.UNKNOWN
    assert (
        result.reason
        == f"the search ended after {min(result.explored, bounds.configurations):,} configurations"
    )


def test_a_search_ends_at_its_deadline() -> None:
    ticks = count()
    bounds = Bounds(clock=lambda: next(ticks), deadline=100)
    result = linearize(
        client_calls(from_ops(many_swaps_in_doubt(40)), "read", "write", "cas")[0],
        CAS_REGISTER,
        bounds,
    )
    assert (result.verdict, result.reason) == (
        Verdict.UNKNOWN,
        f"the search ended after {result.explored:,} configurations, out of time",
    )


def test_a_long_history_needs_no_recursion() -> None:
    history = [
        op
        for number in range(1500)
        for op in (*operation(0, "write", number), *operation(1, "read", number))
    ]
    assert linearize_register(history).verdict is Verdict.VALID


def test_a_legal_order_of_many_concurrent_writes_is_found_without_trying_all() -> None:
    invokes = [Op("invoke", "write", process, process) for process in range(14)]
    oks = [Op("ok", "write", process, process) for process in range(14)]
    assert linearize_register([*invokes, *oks, *operation(50, "read", 7)]).verdict is Verdict.VALID
