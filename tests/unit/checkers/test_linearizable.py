"""The search for a linearization: agreement with the definition, and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given, settings

from jepsenvm.checkers.client_calls import client_calls
from jepsenvm.checkers.linearizable import Bounds, Linearization, linearize
from jepsenvm.checkers.mutual_exclusion import MUTEX
from jepsenvm.checkers.register import ANY_REGISTER, CAS_REGISTER
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.op import NEMESIS, Op, Type
from jepsenvm.history.table import from_ops
from tests.unit.builders import operation
from tests.unit.checkers.linearizability import (
    by_definition,
    by_exhaustion,
    histories,
    step_mutex,
    step_register,
)

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


def verdict(*, legal: bool) -> Verdict:
    return Verdict.VALID if legal else Verdict.INVALID


@settings(max_examples=50, deadline=None)
@given(histories(REGISTER_OPS, [None, 1, 2], retire=False, most=5))
def test_registers_agree_with_the_definition(history: list[Op]) -> None:
    calls = client_calls(from_ops(history), "read", "write", "cas")[0]
    legal = by_definition(calls, step_register)
    assert by_exhaustion(calls, step_register) is legal
    assert linearize(calls, CAS_REGISTER).verdict is verdict(legal=legal)


@settings(max_examples=50, deadline=None)
@given(histories([("acquire", None), ("release", None)], [None], retire=False, most=5))
def test_mutexes_agree_with_the_definition(history: list[Op]) -> None:
    calls = client_calls(from_ops(history), "acquire", "release")[0]
    legal = by_definition(calls, step_mutex)
    assert by_exhaustion(calls, step_mutex) is legal
    assert linearize(calls, MUTEX).verdict is verdict(legal=legal)


MANY_WRITES = [("write", 1), ("write", 2), ("write", 3), ("read", None)]


@settings(max_examples=300, deadline=None)
@given(
    histories(MANY_WRITES, [1, 2, 3], retire=False, most=10, processes=6)
    | histories([*MANY_WRITES, *REGISTER_OPS], [1, 2, 3], retire=False, most=10, processes=6)
)
def test_many_open_writes_agree_with_all_legal_orders(history: list[Op]) -> None:
    calls = client_calls(from_ops(history), "read", "write", "cas")[0]
    legal = by_exhaustion(calls, step_register)
    assert linearize(calls, CAS_REGISTER).verdict is verdict(legal=legal)
    legal = any(by_exhaustion(calls, step_register, initial) for initial in (None, 1, 2, 3))
    assert linearize(calls, ANY_REGISTER).verdict is verdict(legal=legal)


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


COMPLETED: tuple[Type, ...] = ("invoke", "ok")
IN_DOUBT: tuple[Type, ...] = ("invoke", "info")
OPEN_WRITES = [Op("invoke", "write", process, process) for process in range(20)]
WRITTEN = [Op("ok", "write", process, process) for process in range(20)]


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ([], Verdict.VALID),
        ([5], Verdict.VALID),
        ([5, 5], Verdict.VALID),
        ([5, 6], Verdict.INVALID),
        ([19, 0], Verdict.INVALID),
    ],
)
def test_concurrent_writes_leave_one_of_their_values(reads: list[int], expected: Verdict) -> None:
    later = [op for value in reads for op in operation(50, "read", value)]
    result = linearize_register([*OPEN_WRITES, *WRITTEN, *later])
    assert (result.verdict, result.explored < 500) == (expected, True)


@pytest.mark.parametrize(
    ("during", "after", "expected"),
    [
        (range(20), 19, Verdict.VALID),
        (range(19), 19, Verdict.VALID),
        (range(19), 18, Verdict.VALID),
        (range(20), 5, Verdict.INVALID),  # its write took effect before the next read
        ([3, 4, 3], 4, Verdict.INVALID),
        ([3, 4, 3], 3, Verdict.INVALID),
        ([3, 4], 3, Verdict.INVALID),
        ([3, 4], 4, Verdict.VALID),
    ],
)
def test_a_write_that_was_read_cannot_take_effect_again(
    during: Sequence[int], after: int, expected: Verdict
) -> None:
    reads = [op for value in during for op in operation(50, "read", value)]
    history = [*OPEN_WRITES, *reads, *WRITTEN, *operation(50, "read", after)]
    result = linearize_register(history)
    assert (result.verdict, result.explored < 500) == (expected, True)


def test_a_write_that_began_after_another_took_effect_is_not_hidden_by_it() -> None:
    hidden = [Op("invoke", "write", 1, 1), Op("invoke", "write", 2, 2)]
    read = operation(9, "read", 2)
    late = [Op("invoke", "write", 3, 3), Op("ok", "write", 3, 3), Op("ok", "write", 2, 2)]
    last = Op("ok", "write", 1, 1)
    for value, expected in ((2, Verdict.INVALID), (3, Verdict.VALID), (1, Verdict.VALID)):
        history = [*hidden, *read, *late, last, *operation(9, "read", value)]
        assert linearize_register(history).verdict is expected


def test_an_open_write_may_serve_a_swap_in_doubt() -> None:
    invoked = [("cas", [2, 1], 3), ("write", 2, 2), ("cas", [1, 2], 0)]
    history = [Op("invoke", f, value, process) for f, value, process in invoked]
    history += [Op("ok", "cas", [1, 2], 0), Op("ok", "write", 2, 2), *operation(0, "read", 2)]
    assert linearize_register(history).verdict is Verdict.VALID
    assert linearize_register([*history, *operation(0, "read", 1)]).verdict is Verdict.INVALID


def test_equal_swaps_are_interchangeable() -> None:
    swaps = [("cas", [process % 2, 1 - process % 2], process) for process in range(20)]
    history = operation(50, "write", 0)
    history += [Op(type_, *swap) for type_ in ("invoke", "ok") for swap in swaps]
    result = linearize_register([*history, *operation(50, "read", 0)])
    assert (result.verdict, result.explored < 500) == (Verdict.VALID, True)
    result = linearize_register([*history, *operation(50, "read", 1)])
    assert (result.verdict, result.explored < 500) == (Verdict.INVALID, True)


def test_many_different_writes_in_doubt_cost_little() -> None:
    doubts = [Op("invoke", "write", value, value) for value in range(2000)]
    reads = [op for value in range(0, 2000, 7) for op in operation(5000, "read", value)]
    result = linearize_register([*doubts, *reads])
    assert (result.verdict, result.explored < 2000) == (Verdict.VALID, True)
    result = linearize_register([*doubts, *reads, *operation(5000, "read", 7)])
    assert (result.verdict, result.explored < 2000) == (Verdict.INVALID, True)


def test_configurations_with_many_calls_in_doubt_count_several_times() -> None:
    doubts = [Op("invoke", "write", value, value) for value in range(5000)]
    reads = [op for value in range(4900, 5000) for op in operation(5000, "read", value)]
    calls = client_calls(from_ops([*doubts, *reads]), "read", "write", "cas")[0]
    result = linearize(calls, CAS_REGISTER, Bounds(configurations=300))
    assert result.verdict is Verdict.UNKNOWN


LEGAL: dict[str, list[tuple[Type, str, int | None, int]]] = {
    "the write that was hidden serves a later read": [
        ("invoke", "write", 1, 4),
        ("invoke", "write", 0, 1),
        *[(type_, "write", 1, 0) for type_ in COMPLETED],
        ("invoke", "write", 0, 3),
        ("ok", "write", 1, 4),
        ("ok", "write", 0, 3),
        ("ok", "write", 0, 1),
        ("invoke", "write", 0, 1),
        *[("invoke", "read", None, process) for process in (0, 3, 2)],
        *[("ok", "read", 1, process) for process in (0, 2, 3)],
        ("ok", "write", 0, 1),
    ],
    "a call in doubt is not taken for a write that returned before": [
        *[(type_, "write", 1, 1) for type_ in COMPLETED],
        *[(type_, "write", 0, 1) for type_ in IN_DOUBT],
        ("invoke", "write", 2, 0),
        *[(type_, "read", 0, 1) for type_ in COMPLETED],
        *[(type_, "read", 0, 1) for type_ in COMPLETED],
        ("invoke", "read", None, 1),
        ("info", "write", 2, 0),
        ("invoke", "write", 0, 0),
        ("ok", "read", 2, 1),
        ("ok", "write", 0, 0),
        *[(type_, "write", 0, 1) for type_ in COMPLETED],
        *[(type_, "write", 1, 0) for type_ in IN_DOUBT],
        ("invoke", "write", 2, 0),
        *[(type_, "read", 2, 1) for type_ in COMPLETED],
    ],
}


@pytest.mark.parametrize("rows", LEGAL.values(), ids=LEGAL.keys())
def test_legal_histories_that_a_wrong_search_refused(
    rows: list[tuple[Type, str, int | None, int]],
) -> None:
    history = [Op(*row) for row in rows]
    calls = client_calls(from_ops(history), "read", "write", "cas")[0]
    assert by_exhaustion(calls, step_register)
    assert linearize(calls, CAS_REGISTER).verdict is Verdict.VALID
