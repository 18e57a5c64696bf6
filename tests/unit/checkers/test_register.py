"""register: legal and illegal histories of a compare-and-set register, as Knossos' own are written."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings

from jepsenvm.checkers.calls import calls
from jepsenvm.checkers.linearizable import Bounds
from jepsenvm.checkers.register import CAS_REGISTER, register
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.op import NEMESIS, Op, Type
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import from_ops
from tests.unit.checkers.linear import by_definition, histories, ops, seconds

DOUBT: tuple[Type, ...] = ("invoke", "info")
FAILED: tuple[Type, ...] = ("invoke", "fail")


def checked(*parts: list[Op]) -> Result:
    return register(from_ops(chain.from_iterable(parts)))


@pytest.mark.parametrize(
    ("verdict", "parts"),
    [
        (Verdict.VALID, [ops(1, "read")]),
        (Verdict.INVALID, [ops(1, "read", 0)]),
        (Verdict.VALID, [ops(1, "write", 1), ops(2, "read", 1)]),
        (
            Verdict.INVALID,
            [ops(1, "write", 1), ops(2, "read", 1), ops(2, "write", 2), ops(1, "read", 1)],
        ),
        (Verdict.INVALID, [ops(1, "write", 1), ops(2, "read")]),
        (Verdict.VALID, [ops(1, "write", 1), ops(2, "cas", [1, 2]), ops(1, "read", 2)]),
        (Verdict.INVALID, [ops(1, "write", 1), ops(2, "cas", [2, 3])]),
        (Verdict.VALID, [ops(1, "write", 1), ops(2, "cas", [1, 2], *FAILED), ops(1, "read", 1)]),
        (Verdict.INVALID, [ops(1, "write", 1), ops(2, "cas", [1, 2], *FAILED), ops(1, "read", 2)]),
        (Verdict.VALID, [ops(1, "write", 1), ops(2, "cas", [1, 2], *DOUBT), ops(1, "read", 2)]),
        (
            Verdict.VALID,
            [
                ops(1, "write", 1),
                ops(2, "cas", [1, 2], *DOUBT),
                ops(1, "read", 1),
                ops(1, "read", 2),
            ],
        ),
        (
            Verdict.INVALID,
            [
                ops(1, "write", 1),
                ops(2, "cas", [1, 2], *DOUBT),
                ops(1, "read", 2),
                ops(1, "read", 1),
            ],
        ),
        (Verdict.VALID, [ops(1, "cas", [None, 5]), ops(1, "read", 5)]),
        (Verdict.VALID, [ops(1, "read", None, *DOUBT), ops(2, "write", 3), ops(3, "read", 3)]),
        (Verdict.UNKNOWN, []),
        (Verdict.UNKNOWN, [ops(1, "write", 1, *DOUBT)]),
        (Verdict.UNKNOWN, [ops(1, "write", 1), ops(1, "cas", 7)]),
        (Verdict.UNKNOWN, [ops(1, "write", 1), ops(1, "increment", 7)]),
        (Verdict.UNKNOWN, [[Op("ok", "read", 3, 1)], ops(1, "write", 1)]),
        (Verdict.VALID, [ops(1, "write", 1), ops(NEMESIS, "start", None, "info")]),
    ],
)
def test_histories(verdict: Verdict, parts: list[list[Op]]) -> None:
    found = checked(*parts)
    assert found.verdict is verdict
    assert bool(found.reasons) is (verdict is not Verdict.VALID)


@pytest.mark.parametrize(
    ("written", "read"), [(1, "1"), (1, 1.0), (1, True), ("a", ["a"]), ([1], [2])]
)
def test_values_of_different_types_are_different_values(written: object, read: object) -> None:
    assert checked(ops(1, "write", written), ops(1, "read", read)).verdict is Verdict.INVALID
    assert checked(ops(1, "write", written), ops(1, "read", written)).verdict is Verdict.VALID


def test_a_violation_names_what_could_have_been_read() -> None:
    found = checked(
        [seconds(1, "invoke", "write", 1.0, 5, "n1"), seconds(1, "ok", "write", 1.5, 5, "n1")],
        ops(1, "write", 4),
        [seconds(1, "invoke", "write", 1.6, 5, "n1"), seconds(1, "ok", "write", 1.8, 5, "n1")],
        [seconds(2, "invoke", "read", 2.0, None, "n2"), seconds(2, "ok", "read", 2.25, 4, "n2")],
    )
    assert found.reasons == (
        "no order of the ops explains that process 2 on n2 was ok to read 4 from 2.000 s to 2.250 s: "
        "the register could then only be 5",
    )
    assert found.figures["violation"] == [
        {"process": 2, "node": "n2", "f": "read", "type": "ok", "value": 4, "from": 2.0, "to": 2.25}
    ]


def test_a_read_of_what_nobody_wrote_needs_no_search() -> None:
    doubts = [Op("invoke", "cas", [number % 7, number % 11], 100 + number) for number in range(300)]
    found = register(
        from_ops([*ops(1, "write", 0), *doubts, *ops(1, "read", 99)]),
        bounds=Bounds(configurations=1),
    )
    assert (found.verdict, "process 1 read 99" in found.reasons[0]) == (Verdict.INVALID, True)
    late = [*ops(1, "write", 0), *ops(1, "read", 5), *ops(2, "write", 5)]
    assert "nobody had written" in register(from_ops(late)).reasons[0]


def test_pairs_of_key_and_value_are_registers_of_their_own() -> None:
    reads = [Op("invoke", "read", [7, None], 2), Op("ok", "read", [7, 1], 2)]
    assert checked(ops(1, "write", [7, 1]), ops(1, "write", [8, 2]), reads).verdict is Verdict.VALID
    assert (
        checked(ops(1, "cas", [8, [None, 1]]), ops(1, "write", [7, 1]), reads).verdict
        is Verdict.VALID
    )
    found = checked(
        ops(1, "write", [7, 1]), ops(1, "write", [7, 3]), ops(1, "write", [8, 1]), reads
    )
    assert (found.verdict, "register 7 could" in found.reasons[0]) == (Verdict.INVALID, True)


def test_a_search_that_ended_is_unknown() -> None:
    found = register(
        from_ops([*ops(1, "write", 1), *ops(2, "read")]), bounds=Bounds(configurations=1)
    )
    assert found.verdict is Verdict.UNKNOWN
    assert found.reasons == (
        "whether the register is linearizable: search ended after 1 configurations",
    )


@pytest.mark.parametrize(("read", "verdict"), [(2, Verdict.VALID), (1, Verdict.INVALID)])
def test_knossos_own_way_of_writing(tmp_path: Path, read: int, verdict: Verdict) -> None:
    path = tmp_path / "history.edn"
    path.write_text(
        "{:process 0 :type :invoke :f :write :value 1}\n{:process 0 :type :ok :f :write :value 1}\n"
        "{:process :nemesis :type :info :f :start :value nil}\n"
        "{:process 1 :type :invoke :f :cas :value [1 2]}\n{:process 1 :type :ok :f :cas :value [1 2]}\n"
        f"{{:process 0 :type :invoke :f :read :value nil}}\n{{:process 0 :type :ok :f :read :value {read}}}\n"
    )
    assert register(open_history(path)).verdict is verdict


REGISTER_OPS = [("read", None), ("write", 1), ("write", 2), ("cas", [1, 2]), ("cas", [None, 1])]


@settings(max_examples=50, deadline=None)
@given(histories(REGISTER_OPS, [None, 1, 2], retire=True, most=5))
def test_it_agrees_with_the_definition(history: list[Op]) -> None:
    found = calls(from_ops(history), "read", "write", "cas")[0]
    verdict = Verdict.VALID if by_definition(found, CAS_REGISTER) else Verdict.INVALID
    tested = any(call.type == "ok" for call in found)
    assert register(from_ops(history)).verdict is (verdict if tested else Verdict.UNKNOWN)
