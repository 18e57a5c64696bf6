"""Schedules: the same seed gives the same schedule, and every schedule ends healed."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.errors import UsageError
from jepsenvm.nemesis.registry import MIXES, NEMESES
from jepsenvm.nemesis.schedule import ScheduledFault, schedule
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.reading import read, resolve
from jepsenvm.plan.schedule_item import ScheduleItem
from jepsenvm.workloads.registry import WORKLOADS

NODES = ["n1", "n2", "n3", "n4", "n5"]
DRAWN = sorted(set(NEMESES) - {"none", "partition", "upgrade"})


def plan_from(text: str) -> Plan:
    return resolve(read(text, "plan.yml"), "plan.yml", WORKLOADS, NEMESES)


def times(steps: tuple[ScheduledFault, ...]) -> list[tuple[str, float, float]]:
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
    drawn = {known for name in names for known in MIXES.get(name, (name,))}
    assert {step.fault.name for step in steps} <= drawn
    instants = [step.at for step in steps]
    assert all(sum(step.at <= at < step.until for step in steps) <= 2 * lanes for at in instants)


@given(st.integers(0, 2**32), st.floats(0, 200))
def test_a_pair_of_times_bounds_the_draw(seed: int, more: float) -> None:
    plan = Plan(
        seed=seed, nemesis="kill", quiet_before=(2, 9), fault_duration=(5, 20), time_limit=7 + more
    )
    steps = schedule(plan, NODES)
    assert steps
    assert all(5 - 1e-9 <= step.until - step.at <= 20 + 1e-9 for step in steps)
    assert all(2 - 1e-9 <= b - a <= 9 + 1e-9 for a, b in pairwise([0.0, *(t for s in steps for t in (s.at, s.until))])
               if (a, b) not in {(s.at, s.until) for s in steps})  # fmt: skip
    assert plan.time_limit - steps[-1].until < 7, "there is room for one more"


def test_each_fault_draws_its_times_anew() -> None:
    steps = schedule(
        Plan(nemesis="kill", quiet_before=(1, 9), fault_duration=(5, 20), time_limit=600), NODES
    )
    assert len({round(step.until - step.at, 3) for step in steps}) > 10


@given(st.integers(0, 2**32), st.integers(2, 5))
def test_lanes_draw_independently_and_faults_of_one_lane_never_overlap(
    seed: int, lanes: int
) -> None:
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


def test_a_list_of_nemeses_draws_from_all_of_them() -> None:
    plan = Plan(
        nemesis=("kill", "loss", "partition-pair"), quiet_before=1, fault_duration=5, time_limit=600
    )
    assert {step.fault.name for step in schedule(plan, NODES)} == {"kill", "loss", "partition-pair"}


def test_each_stage_of_a_nemesis_is_scheduled_separately() -> None:
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
def test_a_nemesis_with_too_few_nodes_is_refused_even_if_the_seed_never_draws_it(seed: int) -> None:
    with pytest.raises(
        UsageError, match="partition-bridge needs at least 3 nodes, and the cluster has 2"
    ):
        schedule(Plan(nemesis=("kill", "partition-bridge"), seed=seed), ["n1", "n2"])


def test_no_nemesis_no_faults() -> None:
    assert schedule(Plan(nemesis="none", overlapping=3), NODES) == ()


def test_a_listed_schedule_is_followed() -> None:
    plan = plan_from(
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


def test_a_listed_schedule_repeats_while_all_of_it_fits() -> None:
    text = """
        time-limit: 70
        repeat-every: 20
        schedule:
          - {at: 5, for: 5, fault: kill}
          - {at: 12, for: 8, fault: pause}
        """
    steps = schedule(plan_from(text), NODES)
    assert times(steps) == [
        ("kill", 5, 10), ("pause", 12, 20), ("kill", 25, 30), ("pause", 32, 40), ("kill", 45, 50), ("pause", 52, 60)
    ]  # fmt: skip
    assert steps == schedule(plan_from(text), NODES)
    assert steps != schedule(plan_from(text + "\n        seed: 1"), NODES)


def test_the_documentations_example_is_valid() -> None:
    docs = (Path(__file__).parents[3] / "docs" / "plan.md").read_text(encoding="utf-8")
    steps = schedule(
        plan_from(docs.split("## Schedules")[1].split("```yaml")[1].split("```")[0]), NODES
    )
    assert [round(step.at) for step in steps] == [20, 30, 80, 110, 160, 170, 220, 250]


@pytest.mark.parametrize(
    ("step", "message"),
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
def test_an_invalid_item_is_refused(step: str, message: str) -> None:
    plan: Any = plan_from(f"schedule: [{step}]")
    with pytest.raises(UsageError) as refused:
        schedule(plan, NODES)
    assert message in str(refused.value)


# Schedules of stored plans. These values were computed before faults became classes. A change of any
# of them means that a seed no longer gives the schedule that it gave.

QUIET_AND_DURATION: dict[str, Any] = {"quiet_before": (1, 9), "fault_duration": (5, 20)}


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (
            Plan(nemesis="mixed", seed=1, time_limit=120, **QUIET_AND_DURATION),
            [
                (2.075, 19.786, "clients-drop {clients of n3}"),
                (25.999, 42.83, "partition-random-node {n4 | n1 n2 n3 n5}"),
                (49.397, 58.392, "clients-drop {clients of n5}"),
                (59.595, 72.716, "kill {n2}"),
                (81.469, 97.357, "pause {n2}"),
                (104.466, 119.359, "pause {n2}"),
            ],
        ),
        (
            Plan(nemesis="mixed", seed=7, time_limit=120, **QUIET_AND_DURATION),
            [
                (3.591, 10.853, "restart {n1}"),
                (12.433, 25.471, "loss {n5, percent 20}"),
                (26.935, 39.547, "partition-random-node {n1 | n2 n3 n4 n5}"),
                (41.272, 52.64, "clients-drop {clients of n2}"),
                (61.45, 67.149, "clients-drop {clients of n3}"),
                (72.631, 87.861, "partition-random-node {n5 | n1 n2 n3 n4}"),
                (93.376, 107.661, "kill {n5}"),
                (111.372, 117.511, "pause {n4}"),
            ],
        ),
        (
            Plan(nemesis="processes", seed=3, time_limit=120, **QUIET_AND_DURATION),
            [
                (2.904, 16.067, "stop-app {n5}"),
                (20.86, 34.572, "restart {n1}"),
                (42.843, 54.881, "restart {n2}"),
                (57.415, 73.173, "restart {n5}"),
                (77.983, 92.569, "pause {n2}"),
                (98.648, 116.669, "restart {n4}"),
            ],
        ),
        (
            Plan(
                nemesis=("mixed", "leave"),
                seed=5,
                overlapping=2,
                time_limit=60,
                **QUIET_AND_DURATION,
            ),
            [
                (2.26, 8.005, "leave {n3}"),
                (5.983, 22.11, "clients-drop {clients of n1 n2}"),
                (15.38, 30.282, "restart {n1}"),
                (26.863, 35.561, "pause {n2}"),
                (35.202, 54.547, "leave {n5}"),
                (36.666, 44.917, "leave {n2}"),
                (53.248, 59.59, "clients-drop {clients of n2}"),
            ],
        ),
    ],
)
def test_a_seed_gives_this_schedule(plan: Plan, expected: list[tuple[float, float, str]]) -> None:
    scheduled = [
        (round(step.at, 3), round(step.until, 3), step.fault.describe())
        for step in schedule(plan, NODES)
    ]
    assert scheduled == expected


DIGESTS = {
    "clients-drop": "31e17d1fb04a98db",
    "clients-kill": "ac0db39cf5d59143",
    "clients-reject": "e68ba632e5b3379f",
    "clock-bump": "2a9e6a7a034a1225",
    "clock-strobe": "3fc72cb13bf593ee",
    "corrupt": "3448849d8bfcef7b",
    "delay": "4d0ca784c996eaf4",
    "disk-full": "ca2f3696431a97b8",
    "disk-slow": "a42c409bd29cc82e",
    "drain": "3c38b24a3a5c60c1",
    "duplicate": "890b0309dbc9b80c",
    "feature-flag": "71521cefa96e8be5",
    "file-corrupt": "9f16ae94f92f9551",
    "file-truncate": "52507a4aedfa50cc",
    "kill": "2ca97b5295fe9686",
    "kill-all": "b8f25ce842c5e42b",
    "leader-transfer": "32c8f0af718d2396",
    "leave": "c90b16b2a3b1a905",
    "link-reset": "69df2e55d57194ee",
    "loss": "8fcbe09fe7200404",
    "memory-alarm": "1d492b396e2dcaf2",
    "mixed": "a4411776b7781983",
    "partition": "542576f50aa0bf7a",
    "partition-bridge": "13873527db3ec6a4",
    "partition-flapping": "bfd2d47b3e73b7cd",
    "partition-followers": "c4c48cc58795a54d",
    "partition-halves": "0e084701ea65f872",
    "partition-leader": "5315ec4b5f7fa6ce",
    "partition-majorities-ring": "ffd5de625d90dcdb",
    "partition-one-way": "2cfc433496b770a4",
    "partition-pair": "0d2012576b51bc89",
    "partition-random-groups": "0bfc414948a29293",
    "partition-random-halves": "1d022fc5f8859cb4",
    "partition-random-majority": "ede22d7891d6e36d",
    "partition-random-node": "d93d0c14582e1a8f",
    "partition-rolling-stale": "438308cfeac92aee",
    "partition-same-majority": "7692282a69835661",
    "partitions": "828f10bcb9e6063b",
    "pause": "815bdb799afac54a",
    "power-cut": "c302c4e31c13e03a",
    "power-loss": "85ae2a2cac2410c0",
    "processes": "b6ec48c07da587b4",
    "rate": "c62ff01c00ebb928",
    "reorder": "c1a442f086f98a52",
    "replica-shrink": "0629d64735d6d4c6",
    "restart": "c7cf4ed4aba46e61",
    "rolling-restart": "d092b25ea3b01e3d",
    "stop-app": "f2f69962d9ba95cb",
    "stress-cpu": "2763d602727c7717",
    "stress-memory": "d4eea973eb30a4d2",
    "upgrade": "2874f4c1ab6fdf9a",
}
"""A digest of the schedules of five seeds, by nemesis. It does not cover the faults' texts."""


def plan_of(nemesis: str, seed: int) -> Plan:
    if nemesis != "partition":
        target = "3.10.9" if nemesis == "upgrade" else None
        keys = {"upgrade_to": target, **QUIET_AND_DURATION}
        return Plan(nemesis=nemesis, seed=seed, time_limit=300, **keys)
    groups = ScheduleItem(at=1, lasts=5, fault=nemesis, groups=(("n1", "n2"), ("n3",)))
    grudge = ScheduleItem(at=10, lasts=5, fault=nemesis, grudge={"n1": ("n2",)})
    return Plan(schedule=(groups, grudge), seed=seed, time_limit=60)


@pytest.mark.parametrize("nemesis", sorted(set(NEMESES) - {"none"}))
def test_seeds_give_the_same_schedules_as_ever(nemesis: str) -> None:
    rows = []
    for seed in range(5):
        for step in schedule(plan_of(nemesis, seed), NODES):
            data = {key: value for key, value in step.fault.as_data().items() if key != "text"}
            rows.append([round(step.at, 6), round(step.until, 6), data, step.fault.role])
    text = json.dumps(rows, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == DIGESTS[nemesis]
