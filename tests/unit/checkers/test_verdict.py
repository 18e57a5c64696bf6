"""Verdicts: how they combine, exit statuses, and histories that can never be valid."""

from __future__ import annotations

from itertools import product

import pytest

from jepsenvm.checkers.faults import faults
from jepsenvm.checkers.recovery import recovery
from jepsenvm.checkers.verdict import Result, Verdict, check, graded, worst
from jepsenvm.history.nemesis_records import INTERRUPT
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import History, from_ops
from tests.unit.builders import history, proven_fault, recovery_record, schedule

V, I, U = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN  # noqa: E741 - a truth table


@pytest.mark.parametrize(("a", "b"), list(product(Verdict, Verdict)))
def test_the_worst_verdict_decides(a: Verdict, b: Verdict) -> None:
    expected = next(verdict for verdict in (I, U, V) if verdict in (a, b))
    assert worst(a, b) is expected


def test_without_any_checker_it_is_unknown() -> None:
    assert worst() is U


@pytest.mark.parametrize(
    ("invalid", "unknown", "verdict"),
    [(True, True, I), (True, False, I), (False, True, U), (False, False, V)],
)
def test_a_violation_outweighs_a_doubt(*, invalid: bool, unknown: bool, verdict: Verdict) -> None:
    assert graded(invalid=invalid, unknown=unknown) is verdict


def test_exit_statuses_do_not_change() -> None:
    assert [verdict.exit_status for verdict in (V, I, U)] == [0, 1, 2]


def test_a_crashed_checker_is_unknown_and_named() -> None:
    def crash(_: History) -> Result:
        raise ZeroDivisionError("by zero")

    results = check(from_ops([]), {"crash": crash})
    assert results.verdict is U
    assert "the checker crash crashed" in results.reasons[0]


def test_a_history_cut_short_is_unknown() -> None:
    assert check(from_ops([], complete=False), {}).verdict is U


def test_an_interrupted_run_is_unknown() -> None:
    interrupt = Op("info", INTERRUPT, process=NEMESIS, error="a signal")
    assert check(from_ops([interrupt]), {}).verdict is U


def test_a_restarted_node_is_named_even_in_a_valid_run() -> None:
    recovered = recovery_record(restarted=["n2"], deadline=120.0)
    results = check(
        history([schedule(1)], proven_fault(), [recovered]),
        {"recovery": recovery, "faults": faults},
    )
    assert results.verdict is V
    assert "n2 did not come back by itself within 120 s" in results.reasons[0]
