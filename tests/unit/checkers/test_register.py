"""register: legal and illegal histories of a compare-and-set register, as Knossos writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from jepsenvm.checkers.client_calls import client_calls
from jepsenvm.checkers.linearizable import Bounds
from jepsenvm.checkers.register import register
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.op import NEMESIS, Op, Type
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import from_ops
from tests.unit import builders
from tests.unit.builders import op_at, operation
from tests.unit.checkers.linearizability import by_definition, histories, step_register

DOUBT: tuple[Type, ...] = ("invoke", "info")
FAILED: tuple[Type, ...] = ("invoke", "fail")


def checked(*parts: list[Op]) -> Result:
    return register(builders.history(*parts))


@pytest.mark.parametrize(
    ("verdict", "parts"),
    [
        (Verdict.VALID, [operation(1, "read")]),
        (Verdict.UNKNOWN, [operation(1, "read", 0)]),  # it may have begun with 0
        (Verdict.INVALID, [operation(1, "read", 0), operation(1, "read", 1)]),
        (Verdict.VALID, [operation(1, "write", 1), operation(2, "read", 1)]),
        (
            Verdict.INVALID,
            [
                operation(1, "write", 1),
                operation(2, "read", 1),
                operation(2, "write", 2),
                operation(1, "read", 1),
            ],
        ),
        (Verdict.VALID, [operation(1, "write", 1), operation(2, "read")]),  # as in Knossos
        (
            Verdict.VALID,
            [operation(1, "write", 1), operation(2, "cas", [1, 2]), operation(1, "read", 2)],
        ),
        (Verdict.INVALID, [operation(1, "write", 1), operation(2, "cas", [2, 3])]),
        (
            Verdict.VALID,
            [
                operation(1, "write", 1),
                operation(2, "cas", [1, 2], *FAILED),
                operation(1, "read", 1),
            ],
        ),
        (
            Verdict.INVALID,
            [
                operation(1, "write", 1),
                operation(2, "cas", [1, 2], *FAILED),
                operation(1, "read", 2),
            ],
        ),
        (
            Verdict.VALID,
            [
                operation(1, "write", 1),
                operation(2, "cas", [1, 2], *DOUBT),
                operation(1, "read", 2),
            ],
        ),
        (
            Verdict.VALID,
            [
                operation(1, "write", 1),
                operation(2, "cas", [1, 2], *DOUBT),
                operation(1, "read", 1),
                operation(1, "read", 2),
            ],
        ),
        (
            Verdict.INVALID,
            [
                operation(1, "write", 1),
                operation(2, "cas", [1, 2], *DOUBT),
                operation(1, "read", 2),
                operation(1, "read", 1),
            ],
        ),
        (Verdict.VALID, [operation(1, "cas", [None, 5]), operation(1, "read", 5)]),
        (
            Verdict.VALID,
            [operation(1, "read", None, *DOUBT), operation(2, "write", 3), operation(3, "read", 3)],
        ),
        (Verdict.UNKNOWN, []),
        (Verdict.UNKNOWN, [operation(1, "write", 1, *DOUBT)]),
        (Verdict.UNKNOWN, [operation(1, "write", 1), operation(1, "cas", 7)]),
        (Verdict.UNKNOWN, [operation(1, "write", 1), operation(1, "increment", 7)]),
        (Verdict.UNKNOWN, [[Op("ok", "read", 3, 1)], operation(1, "write", 1)]),
        (Verdict.VALID, [operation(1, "write", 1), operation(NEMESIS, "start", None, "info")]),
    ],
)
def test_the_verdict_of_a_history(verdict: Verdict, parts: list[list[Op]]) -> None:
    result = checked(*parts)
    assert result.verdict is verdict
    assert bool(result.reasons) is (verdict is not Verdict.VALID)


@pytest.mark.parametrize(
    ("written", "read"), [(1, "1"), (1, 1.0), (1, True), ("a", ["a"]), ([1], [2])]
)
def test_values_of_different_types_are_different_values(written: object, read: object) -> None:
    assert (
        checked(operation(1, "write", written), operation(1, "read", read)).verdict
        is Verdict.INVALID
    )
    assert (
        checked(operation(1, "write", written), operation(1, "read", written)).verdict
        is Verdict.VALID
    )


def test_a_violation_names_the_value_that_could_have_been_read() -> None:
    result = checked(
        [op_at(1.0, 1, "invoke", "write", 5, "n1"), op_at(1.5, 1, "ok", "write", 5, "n1")],
        operation(1, "write", 4),
        [op_at(1.6, 1, "invoke", "write", 5, "n1"), op_at(1.8, 1, "ok", "write", 5, "n1")],
        [op_at(2.0, 2, "invoke", "read", None, "n2"), op_at(2.25, 2, "ok", "read", 4, "n2")],
    )
    assert result.reasons == (
        "no order of the operations explains the ok read of 4 by process 2 on n2 from 2.000 s to "
        "2.250 s: the register could only be 5 then",
    )
    assert result.figures["violation"] == [
        {"process": 2, "node": "n2", "f": "read", "type": "ok", "value": 4, "from": 2.0, "to": 2.25}
    ]


def test_a_read_of_a_value_that_was_never_written_needs_no_search() -> None:
    doubts = [Op("invoke", "cas", [number % 7, number % 11], 100 + number) for number in range(300)]
    result = register(
        from_ops([*operation(1, "write", 0), *doubts, *operation(1, "read", 99)]),
        bounds=Bounds(configurations=1),
    )
    assert (result.verdict, "process 1 read 99" in result.reasons[0]) == (Verdict.INVALID, True)
    late = [*operation(1, "write", 0), *operation(1, "read", 5), *operation(2, "write", 5)]
    assert "no process had written" in register(from_ops(late)).reasons[0]


def test_each_key_is_a_register_of_its_own() -> None:
    reads = [Op("invoke", "read", [7, None], 2), Op("ok", "read", [7, 1], 2)]
    assert (
        checked(operation(1, "write", [7, 1]), operation(1, "write", [8, 2]), reads).verdict
        is Verdict.VALID
    )
    assert (
        checked(operation(1, "cas", [8, [None, 1]]), operation(1, "write", [7, 1]), reads).verdict
        is Verdict.VALID
    )
    result = checked(
        operation(1, "write", [7, 1]),
        operation(1, "write", [7, 3]),
        operation(1, "write", [8, 1]),
        reads,
    )
    assert (result.verdict, "register 7 could" in result.reasons[0]) == (Verdict.INVALID, True)


def test_a_search_that_reached_its_bounds_is_unknown() -> None:
    result = register(
        from_ops([*operation(1, "write", 1), *operation(2, "read", 1)]),
        bounds=Bounds(configurations=1),
    )
    assert result.verdict is Verdict.UNKNOWN
    assert result.reasons == (
        "it is undecided whether the register is linearizable: the search ended after "
        "1 configuration",
    )


@pytest.mark.parametrize(("read", "verdict"), [(2, Verdict.VALID), (1, Verdict.INVALID)])
def test_a_history_as_knossos_writes_it(tmp_path: Path, read: int, verdict: Verdict) -> None:
    path = tmp_path / "history.edn"
    path.write_text(
        "{:process 0 :type :invoke :f :write :value 1}\n{:process 0 :type :ok :f :write :value 1}\n"
        "{:process :nemesis :type :info :f :start :value nil}\n"
        "{:process 1 :type :invoke :f :cas :value [1 2]}\n"
        "{:process 1 :type :ok :f :cas :value [1 2]}\n"
        "{:process 0 :type :invoke :f :read :value nil}\n"
        f"{{:process 0 :type :ok :f :read :value {read}}}\n"
    )
    assert register(open_history(path)).verdict is verdict


REGISTER_OPS = [("read", None), ("write", 1), ("write", 2), ("cas", [1, 2]), ("cas", [None, 1])]


@settings(max_examples=50, deadline=None)
@given(histories(REGISTER_OPS, [None, 1, 2], retire=True, most=5))
def test_it_agrees_with_the_definition(history: list[Op]) -> None:
    all_calls = client_calls(from_ops(history), "read", "write", "cas")[0]
    verdict = Verdict.VALID if by_definition(all_calls, step_register) else Verdict.INVALID
    tested = any(call.type == "ok" for call in all_calls)
    stated = register(from_ops(history), initial=None).verdict
    assert stated is (verdict if tested else Verdict.UNKNOWN)


@settings(max_examples=50, deadline=None)
@given(histories(REGISTER_OPS, [None, 1, 2, 3], retire=True, most=5))
def test_without_an_initial_value_it_is_invalid_only_if_every_value_is(history: list[Op]) -> None:
    all_calls = client_calls(from_ops(history), "read", "write", "cas")[0]
    by_initial = [by_definition(all_calls, step_register, value) for value in (None, 1, 2, 3, 4)]
    verdict = Verdict.UNKNOWN if any(by_initial) else Verdict.INVALID
    tested = any(call.type == "ok" for call in all_calls)
    if by_initial[0] and tested:
        verdict = Verdict.VALID
    assert register(from_ops(history)).verdict is (verdict if tested else Verdict.UNKNOWN)


@pytest.mark.parametrize(
    ("initial", "verdict"),
    [(0, Verdict.VALID), (1, Verdict.INVALID), (None, Verdict.INVALID), ("0", Verdict.INVALID)],
)
def test_the_initial_value_can_be_stated(initial: Any, verdict: Verdict) -> None:
    ops = builders.history(operation(1, "read", 0), operation(1, "write", 72))
    assert register(ops, initial=initial).verdict is verdict
    assert register(ops).verdict is Verdict.UNKNOWN


def test_two_values_that_nobody_wrote_are_not_both_the_initial_value() -> None:
    result = checked(operation(1, "read", 0), operation(2, "write", 5), operation(1, "read", 7))
    assert result.verdict is Verdict.INVALID
    assert "returned a value that no process had written" in result.reasons[0]


def test_pairs_without_reads_may_have_keys() -> None:
    keyed = [operation(0, "write", ["x", 1]), operation(0, "cas", ["x", [1, 2]])]
    assert checked(*keyed).verdict is Verdict.UNKNOWN
    broken = [*keyed, operation(0, "cas", ["x", [7, 8]])]
    assert checked(*broken).verdict is Verdict.INVALID
