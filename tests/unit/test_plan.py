"""Plans: every problem at once, and the same plan again from what was stored."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.errors import Refused
from jepsenvm.plan.config import Plan, read, resolve
from jepsenvm.plan.nemesis import NEMESES
from jepsenvm.plan.schedule import schedule
from jepsenvm.workloads.registry import WORKLOADS

NODES = ["n1", "n2", "n3", "n4", "n5"]


def resolved(text: str) -> Plan:
    return resolve(read(text, "plan.yml"), "plan.yml", WORKLOADS.keys(), NEMESES.keys())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time-limits: 3", "unknown key 'time-limits'"),
        ("time_limit: 3", "unknown key 'time_limit'"),
        ("time-limit: -1", "time-limit: Input should be greater than 0 (found -1)"),
        ("time-limit: .nan", "time-limit"),
        ("time-limit: .inf", "time-limit"),
        ("nemesis: gremlins", "nemesis: must be one of none, partition-bridge"),
        ("workload: cooking", "workload: must be one of queue"),
        ("queue-type: lazy", "queue-type"),
        ("name: ../../etc", "name"),
        ("seed: -1", "seed"),
        ("rate: soon", "rate"),
        ("time-limit: 10", "no fault would ever be injected"),
        ("- 1", "a plan is a mapping"),
        ("a: [", "not readable as YAML"),
        ("seed: 1\nseed: 2", "the key 'seed' stands twice"),
    ],
)
def test_a_bad_plan_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        resolved(text)
    line = str(refused.value)
    assert line.startswith("plan.yml")
    assert says in line
    assert "\n" not in line
    assert refused.value.exit_status == 254


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(Refused, match=r"(?s)window.*seed.*unknown key 'a'|unknown key 'a'.*window|window.*unknown"):
        resolved("a: 1\nwindow: 0\nseed: x")


def test_an_empty_plan_is_the_default_plan() -> None:
    assert resolved("") == Plan()


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "window": st.integers(1, 500),
            "seed": st.integers(0, 2**62),
            "rate": st.floats(0, 1e6, allow_nan=False),
            "messages": st.none() | st.integers(1, 10**9),
            "queue-type": st.sampled_from(["quorum", "mirrored", "classic"]),
        },
    )
)
def test_a_stored_plan_is_the_same_plan(document: dict[str, Any]) -> None:
    plan = resolve(document, "x", WORKLOADS.keys(), NEMESES.keys())
    assert resolved(plan.to_yaml()) == plan


@given(st.integers(0, 2**32), st.floats(0, 50), st.floats(1, 60))
def test_schedules_repeat_from_their_seed_and_end_healed(seed: int, quiet: float, duration: float) -> None:
    plan = Plan(seed=seed, quiet_before=quiet, fault_duration=duration, time_limit=quiet + duration + 100)
    steps = schedule(plan, NODES)
    assert steps == schedule(plan, NODES)
    assert steps
    assert all(step.at < step.until <= plan.time_limit for step in steps)
    assert all(a.until <= b.at for a, b in pairwise(steps))


def test_different_seeds_differ() -> None:
    assert len({schedule(Plan(seed=seed), NODES)[0].fault.text for seed in range(50)}) > 5


@given(st.sampled_from(sorted(set(NEMESES) - {"none"})), st.integers(0, 1000))
def test_a_nemesis_with_too_few_nodes_is_refused(nemesis: str, seed: int) -> None:
    with pytest.raises(Refused, match=f"{nemesis} needs"):
        schedule(Plan(nemesis=nemesis, seed=seed), ["n1"])


def test_no_nemesis_no_faults() -> None:
    assert schedule(Plan(nemesis="none"), NODES) == ()
