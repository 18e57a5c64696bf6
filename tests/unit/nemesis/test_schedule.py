"""Schedules: when which fault is in force, the same from the same seed, and always healed at the end."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.errors import UsageError
from jepsenvm.nemesis.schedule import Step, schedule
from jepsenvm.nemesis.specs import NEMESES, PRESETS
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.reading import read, resolve
from jepsenvm.workloads.registry import WORKLOADS

NODES = ["n1", "n2", "n3", "n4", "n5"]
DRAWN = sorted(set(NEMESES) - {"none", "partition"})


def written(text: str) -> Plan:
    return resolve(read(text, "plan.yml"), "plan.yml", WORKLOADS, NEMESES)


def times(steps: tuple[Step, ...]) -> list[tuple[str, float, float]]:
    return [(step.fault.name, step.at, step.until) for step in steps]


@given(st.integers(0, 2**32), st.floats(0, 50), st.floats(1, 60))
def test_schedules_repeat_from_their_seed_and_end_healed(
    seed: int, quiet: float, duration: float
) -> None:
    plan = Plan(
        seed=seed, quiet_before=quiet, fault_duration=duration, time_limit=quiet + duration + 100
    )
    steps = schedule(plan, NODES)
    assert steps == schedule(plan, NODES)
    assert steps
    assert all(step.at < step.until <= plan.time_limit for step in steps)
    assert all(a.until <= b.at for a, b in pairwise(steps))


@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from(DRAWN), min_size=1, max_size=4),
    st.tuples(st.floats(0, 20), st.floats(0, 20)).map(lambda pair: (min(pair), max(pair))),
    st.tuples(st.floats(1, 30), st.floats(1, 30)).map(lambda pair: (min(pair), max(pair))),
    st.integers(1, 5),
    st.floats(0, 200),
)
def test_any_mix_ends_within_the_limit_and_is_sorted(
    seed: int,
    names: list[str],
    quiet: tuple[float, float],
    duration: tuple[float, float],
    lanes: int,
    more: float,
) -> None:
    plan = Plan(
        seed=seed,
        nemesis=tuple(names),
        quiet_before=quiet,
        fault_duration=duration,
        overlapping=lanes,
        time_limit=quiet[0] + duration[0] + more,
    )
    steps = schedule(plan, NODES)
    assert steps == schedule(plan, NODES)
    assert steps
    assert all(0 <= step.at < step.until <= plan.time_limit for step in steps)
    assert all(a.at <= b.at for a, b in pairwise(steps))
    drawn = {known for name in names for known in PRESETS.get(name, (name,))}
    assert {step.fault.name for step in steps} <= drawn
    instants = [step.at for step in steps]
    assert all(sum(step.at <= at < step.until for step in steps) <= 2 * lanes for at in instants)


@given(st.integers(0, 2**32), st.floats(0, 200))
def test_pairs_are_bounds(seed: int, more: float) -> None:
    plan = Plan(
        seed=seed, nemesis="kill", quiet_before=(2, 9), fault_duration=(5, 20), time_limit=7 + more
    )
    steps = schedule(plan, NODES)
    assert steps
    assert all(5 - 1e-9 <= step.until - step.at <= 20 + 1e-9 for step in steps)
    assert all(2 - 1e-9 <= b - a <= 9 + 1e-9 for a, b in pairwise([0.0, *(t for s in steps for t in (s.at, s.until))])
               if (a, b) not in {(s.at, s.until) for s in steps})  # fmt: skip
    assert plan.time_limit - steps[-1].until < 7, "there is room for one more"


def test_pairs_are_drawn_anew_each_time() -> None:
    steps = schedule(
        Plan(nemesis="kill", quiet_before=(1, 9), fault_duration=(5, 20), time_limit=600), NODES
    )
    assert len({round(step.until - step.at, 3) for step in steps}) > 10


@given(st.integers(0, 2**32), st.integers(2, 5))
def test_each_lane_has_its_own_faults_of_which_none_overlap(seed: int, lanes: int) -> None:
    one = Plan(
        seed=seed, nemesis="processes", quiet_before=(1, 20), fault_duration=(5, 20), time_limit=300
    )
    alone = schedule(one, NODES)
    together = schedule(one.model_copy(update={"overlapping": lanes}), NODES)
    assert set(times(alone)) < set(times(together)), "the first lane does not change"
    assert all(
        sum(step.at <= other.at < step.until for step in together) <= lanes for other in together
    )
    assert any(a.until > b.at for a, b in pairwise(together))


def test_different_seeds_differ() -> None:
    assert len({schedule(Plan(seed=seed), NODES)[0].fault.text for seed in range(50)}) > 5


def test_a_list_of_nemeses_is_drawn_from() -> None:
    plan = Plan(
        nemesis=("kill", "loss", "partition-pair"), quiet_before=1, fault_duration=5, time_limit=600
    )
    assert {step.fault.name for step in schedule(plan, NODES)} == {"kill", "loss", "partition-pair"}


def test_the_stages_of_one_fault_overlap_and_are_steps_of_their_own() -> None:
    plan = Plan(
        nemesis="partition-rolling-stale", quiet_before=10, fault_duration=60, time_limit=90
    )
    a, b, c = schedule(plan, NODES)
    assert [a.at, b.at, c.at] == [10, 30, 50]
    assert [round(step.until, 6) for step in (a, b, c)] == [34.2, 54.2, 70]


@given(st.sampled_from(sorted(set(NEMESES) - {"none"})), st.integers(0, 1000))
def test_a_nemesis_with_too_few_nodes_is_refused(nemesis: str, seed: int) -> None:
    with pytest.raises(UsageError, match=f"{nemesis} needs"):
        schedule(Plan(nemesis=nemesis, seed=seed), ["n1"])


@pytest.mark.parametrize("seed", range(10))
def test_a_nemesis_with_too_few_nodes_is_refused_even_where_it_is_not_drawn(seed: int) -> None:
    with pytest.raises(UsageError, match="partition-bridge needs 3 nodes or more, and there are 2"):
        schedule(Plan(nemesis=("kill", "partition-bridge"), seed=seed), ["n1", "n2"])


def test_no_nemesis_no_faults() -> None:
    assert schedule(Plan(nemesis="none", overlapping=3), NODES) == ()


def test_a_written_schedule_is_followed() -> None:
    plan = written(
        """
        time-limit: 2m
        schedule:
          - {at: 40s, for: 10s, fault: loss, nodes: [n3], settings: {percent: 60}}
          - {at: 20s, for: 45s, fault: partition, groups: [[n1, n2], [n3, n4]]}
          - {at: 1m10s, for: 500ms, fault: partition, grudge: {n1: [n2]}}
          - {at: 80, for: 10, fault: kill, nodes: [n4, n2]}
        """
    )
    steps = schedule(plan, NODES)
    assert times(steps) == [
        ("partition", 20, 65),
        ("loss", 40, 50),
        ("partition", 70, 70.5),
        ("kill", 80, 90),
    ]
    assert steps[0].fault.text == "n1 n2 | n3 n4 | n5"
    assert steps[1].fault.settings == {"percent": 60}
    assert steps[2].fault.grudge == {"n1": {"n2"}}
    assert steps[3].fault.nodes == ("n2", "n4")


def test_a_written_schedule_repeats_as_long_as_the_whole_of_it_fits() -> None:
    text = """
        time-limit: 70
        repeat-every: 20
        schedule:
          - {at: 5, for: 5, fault: kill}
          - {at: 12, for: 8, fault: pause}
        """
    steps = schedule(written(text), NODES)
    assert times(steps) == [
        ("kill", 5, 10), ("pause", 12, 20), ("kill", 25, 30), ("pause", 32, 40), ("kill", 45, 50), ("pause", 52, 60)
    ]  # fmt: skip
    assert steps == schedule(written(text), NODES)
    assert steps != schedule(written(text + "\n        seed: 1"), NODES)


def test_the_example_of_the_documentation_is_a_schedule() -> None:
    docs = (Path(__file__).parents[3] / "docs" / "plan.md").read_text(encoding="utf-8")
    steps = schedule(written(docs.split("```yaml")[1].split("```")[0]), NODES)
    assert [round(step.at) for step in steps] == [20, 30, 80, 110, 160, 170, 220, 250]


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (
            "{at: 1, for: 2, fault: kill, nodes: [n9]}",
            "schedule item 1: nemesis: kill: unknown nodes n9",
        ),
        ("{at: 1, for: 2, fault: partition}", "partition needs either groups or a grudge"),
        (
            "{at: 1, for: 2, fault: kill, grudge: {n1: [n2]}}",
            "kill takes no grudge (only partition does)",
        ),
        (
            "{at: 1, for: 2, fault: loss, settings: {percents: 2}}",
            "unknown setting 'percents' (known: percent)",
        ),
        ("{at: 1, for: 2, fault: mixed, nodes: [n1]}", "mixed takes no nodes"),
    ],
)
def test_a_step_that_cannot_be_done_is_refused(step: str, says: str) -> None:
    plan: Any = written(f"schedule: [{step}]")
    with pytest.raises(UsageError) as refused:
        schedule(plan, NODES)
    assert says in str(refused.value)
