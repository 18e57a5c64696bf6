"""The figures of `benchmarks.overhead`: what each phase of a run takes beyond the planned load."""

from __future__ import annotations

import pytest

from benchmarks.overhead import END, LOAD, START, TOTAL, Mark, Spent, medians, plan, spent
from jepsenvm.plan.plan import Plan

MARKS = [
    Mark(START, 10.0, 0.0, 0, 0),
    Mark("prepare", 12.0, 1.5, 0, 0),
    Mark(LOAD, 15.0, 2.0, 30, 10),
    Mark("collect", 36.0, 5.0, 90, 25),
    Mark("check", 37.0, 5.5, 100, 25),
    Mark("collect", 38.0, 6.0, 100, 25),
    Mark(END, 40.0, 6.5, 105, 30),
]


def test_a_phase_lasts_until_the_next_and_the_load_is_beyond_its_plan() -> None:
    phases = spent(MARKS, planned=20.0)
    assert list(phases) == [START, "prepare", LOAD, "collect", "check", TOTAL]
    assert phases["prepare"] == Spent(3.0, 0.5, 30, 10)
    assert phases[LOAD] == Spent(1.0, 3.0, 60, 15)


def test_a_phase_that_begins_twice_counts_with_both() -> None:
    assert spent(MARKS, planned=20.0)["collect"] == Spent(3.0, 1.0, 15, 5)


def test_the_total_is_the_command_without_the_planned_load() -> None:
    assert spent(MARKS, planned=20.0)[TOTAL] == Spent(10.0, 6.5, 105, 30)


def test_medians_are_by_figure_and_a_phase_that_a_round_lacks_took_nothing() -> None:
    rounds = [
        {"check": Spent(1.0, 9.0, 10, 1), "collect": Spent(2.0, 2.0, 2, 2)},
        {"check": Spent(5.0, 1.0, 30, 2)},
        {"check": Spent(3.0, 5.0, 20, 3)},
    ]
    assert medians(rounds) == {"check": Spent(3.0, 5.0, 20, 2), "collect": Spent(0, 0, 0, 0)}


@pytest.mark.parametrize("seconds", [20.0, 60.0])
def test_the_plan_is_one_that_jepsenvm_accepts(seconds: float) -> None:
    assert Plan.model_validate(plan(seconds)).time_limit == seconds
