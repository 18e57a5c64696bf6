"""faults: a run is unknown unless every planned fault is proven and anything was acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from jepsenvm.checkers.faults import faults
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.nemesis_records import HEAL, IN_FORCE
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import from_ops
from tests.unit.builders import (
    enqueued,
    history,
    nemesis_record,
    proven_fault,
    schedule,
)


def judged(ops: list[Op], planned: int = 1) -> Result:
    return faults(history([schedule(planned)], ops))


def test_a_proven_fault_that_met_load_is_valid() -> None:
    result = judged(proven_fault())
    assert result.verdict is Verdict.VALID
    assert result.figures["windows"][0]["acknowledged-count"] == 1


def not_in_force(ops: list[Op]) -> list[Op]:
    failed = nemesis_record(IN_FORCE, 20, error="n1 still reaches n2")
    return [failed if op.time == 20 else op for op in ops]


def not_lasting(ops: list[Op]) -> list[Op]:
    failed = nemesis_record(HEAL, 40, error="it did not last")
    return [failed if op.time == 40 else op for op in ops]


def never_in_force(ops: list[Op]) -> list[Op]:
    return [op for op in ops if op.time != 20]


def never_healed(ops: list[Op]) -> list[Op]:
    return [op for op in ops if op.time != 50]


def without_faults(ops: list[Op]) -> list[Op]:
    return [op for op in ops if op.process != NEMESIS]


def without_load(ops: list[Op]) -> list[Op]:
    return [op for op in ops if op.f != "enqueue"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (not_in_force, "n1 still reaches n2"),
        (not_lasting, "it did not last"),
        (never_in_force, "never seen in force"),
        (never_healed, "never seen healed"),
        (without_faults, "only 0 of 1 planned"),
        (without_load, "no operation was ever acknowledged"),
    ],
)
def test_a_run_that_proves_nothing_is_unknown(
    change: Callable[[list[Op]], list[Op]], reason: str
) -> None:
    result = judged(change(proven_fault()))
    assert result.verdict is Verdict.UNKNOWN
    assert any(reason in given for given in result.reasons)


def test_fewer_faults_than_planned_are_unknown() -> None:
    assert judged(proven_fault(), planned=2).verdict is Verdict.UNKNOWN


def test_a_history_without_its_schedule_is_unknown() -> None:
    assert "which faults were planned" in faults(from_ops(proven_fault())).reasons[-1]


def test_a_fault_by_hand_does_not_count_as_a_planned_one() -> None:
    by_hand = [
        nemesis_record(op.data["phase"], op.time, number=100_001) if op.data else op
        for op in proven_fault()
    ]
    assert "only 0 of 1 planned" in judged(by_hand).reasons[0]


def test_granted_locks_are_acknowledged_too() -> None:
    ops = [replace(op, f="acquire") if op.f == "enqueue" else op for op in proven_fault()]
    result = judged(ops)
    assert result.verdict is Verdict.VALID
    assert result.figures["windows"][0]["acknowledged-count"] == 1


def test_the_workload_names_its_acknowledgements() -> None:
    ops = [replace(op, f="append") if op.f == "enqueue" else op for op in proven_fault()]
    result = faults(history([schedule(1)], ops), acknowledgements=["append"])
    assert result.verdict is Verdict.VALID
    assert judged(ops).verdict is Verdict.UNKNOWN


def test_a_run_without_planned_and_injected_faults_is_valid() -> None:
    assert judged(enqueued(0, 4, 5), planned=0).verdict is Verdict.VALID
