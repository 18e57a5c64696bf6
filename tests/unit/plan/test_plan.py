"""Plans: every problem at once, and the same plan again from what was stored."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.errors import UsageError
from jepsenvm.experiment.set_up import mirroring
from jepsenvm.nemesis.specs import NEMESES
from jepsenvm.plan.config import DEFAULTS, QUEUE_TYPES, Plan, PlannedFault, read, resolve, seconds
from jepsenvm.workloads.registry import WORKLOADS


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
        ("nemesis: gremlins", "nemesis: must be one of clients-drop, clients-kill"),
        (
            "workload: cooking",
            "workload: must be one of dead-letter, lock, order, queue, redelivery, stream",
        ),
        ("queue-type: lazy", "queue-type"),
        ("name: ../../etc", "name"),
        ("seed: -1", "seed"),
        ("rate: soon", "rate"),
        ("time-limit: 10", "no fault would ever be injected"),
        ("- 1", "a plan is a mapping"),
        ("a: [", "not readable as YAML"),
        ("seed: 1\nseed: 2", "the key 'seed' stands twice"),
        (
            "time-limit: soon",
            "time-limit: must be seconds, or a text like 20s, 1m30s or 500ms (found 'soon')",
        ),
        ("time-limit: 0s", "time-limit: Input should be greater than 0 (found '0s')"),
        ("nemesis: []", "nemesis: must not be empty"),
        ("nemesis: [kill, gremlins]", "nemesis item 2: must be one of"),
        ("nemesis: [kill, none]", "nemesis item 2: none makes no faults"),
        ("quiet-before: [5, 1]", "quiet-before: must be [least, most] (found [5, 1])"),
        ("quiet-before: [5]", "quiet-before item 2: must be given"),
        (
            "fault-duration: [0, 9]",
            "fault-duration item 1: Input should be greater than 0 (found 0)",
        ),
        ("fault-duration: [80, 90]", "quiet-before + fault-duration (95 s)"),
        (
            "log-patterns: {oom: '['}",
            "log-patterns oom: must be a regular expression: unterminated character set",
        ),
        ("forbidden-log-patterns: [oom]", "forbidden-log-patterns: 'oom' is none of log-patterns"),
        ("recover-within: 0", "recover-within: "),
        (
            "recover-within: 3m",
            "recover-within (180 s) must not be longer than recovery-deadline (120 s)",
        ),
        ("overlapping: 6", "overlapping: Input should be less than or equal to 5"),
        ("repeat-every: 60", "repeat-every goes only with schedule"),
        ("schedule: []", "schedule: must not be empty"),
        ("schedule: [kill]", "schedule item 1: "),
        ("schedule: [{at: 1, for: 2}]", "schedule item 1 fault: must be given"),
        ("schedule: [{at: 1, for: 2, fault: none}]", "schedule item 1 fault: none makes no faults"),
        ("schedule: [{at: 1, for: 2, fault: gremlins}]", "schedule item 1 fault: must be one of"),
        (
            "schedule: [{at: -1, for: 2, fault: kill}]",
            "schedule item 1 at: Input should be greater than or equal to 0",
        ),
        (
            "schedule: [{at: 1, for: 0, fault: kill}]",
            "schedule item 1 for: Input should be greater than 0",
        ),
        (
            "schedule: [{at: 1, for: 2, fault: kill, node: n1}]",
            "schedule item 1: unknown key 'node' (known: at, fault",
        ),
        ("schedule: [{at: 1, lasts: 2, fault: kill}]", "schedule item 1: unknown key 'lasts'"),
        (
            "schedule: [{at: 1, for: 2, fault: kill}, {at: 1m, for: 31s, fault: pause}]",
            "schedule item 2 (pause, at 60 s for 31 s) ends after time-limit (90 s)",
        ),
        (
            "nemesis: kill\noverlapping: 2\nschedule: [{at: 1, for: 2, fault: kill}]",
            "schedule stands instead of nemesis, overlapping",
        ),
        (
            "repeat-every: 20\nschedule: [{at: 5, for: 2, fault: kill}, {at: 20, for: 6, fault: pause}]",
            "repeat-every (20 s) is shorter than the schedule takes (21 s)",
        ),
        (
            "workload: stream\nqueue-type: quorum",
            "workload stream is about queue-type stream, not quorum",
        ),
        (
            "workload: order\nqueue-type: stream",
            "workload order is about queue-type quorum or mirrored or classic, not",
        ),
        ("queue-type: stream\nconsumers: 1", "consumers must be 0 with queue-type stream"),
        (
            "queue-type: classic\ndelivery-limit: 3",
            "delivery-limit goes only with queue-type quorum",
        ),
        ("mirrors: 2", "mirrors goes only with queue-type mirrored"),
        ("confirm: transactions", "transactions are not for queue-type quorum"),
        ("queue-type: classic\nconfirm: transactions\nwindow: 2", "window must be 1"),
        (
            "workload: lock\nqueue-type: classic\nfenced: true",
            "fenced goes only with queue-type quorum",
        ),
        ("workload: lock\nhold: [3, 1]", "hold: must be [least, most]"),
        ("consume: slowly", "consume: Input should be 'asynchronous', 'polling' or 'mixed'"),
    ],
)
def test_a_bad_plan_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolved(text)
    line = str(refused.value)
    assert line.startswith("plan.yml")
    assert says in line
    assert "\n" not in line
    assert refused.value.exit_status == 254


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(
        UsageError,
        match=r"(?s)window.*seed.*unknown key 'a'|unknown key 'a'.*window|window.*unknown",
    ):
        resolved("a: 1\nwindow: 0\nseed: x")


def test_an_empty_plan_is_the_default_plan() -> None:
    assert resolved("") == Plan()


def test_all_problems_of_the_faults_are_told_at_once() -> None:
    with pytest.raises(UsageError, match=r"item 1 at: .*item 2 fault: .*unknown key 'a'"):
        resolved("schedule: [{at: -1, for: 2, fault: kill}, {at: 1, for: 2, fault: x}]\na: 1")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20s", 20),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("2h", 7200),
        ("1h1m1s1ms", 3661.001),
        ("1.5m", 90),
        ("12", 12),
    ],
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "1x", "1s1m", "-1s", "1 s s", "ms"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="must be seconds"):
        seconds(text)


SPANS = st.sampled_from([10, 2.5, "10s", "1s500ms", [5, 10], ["5s", "12s"]])
STEPS = st.fixed_dictionaries(
    {
        "at": st.sampled_from([0, 1.5, "20s"]),
        "for": st.sampled_from([1, "30s"]),
        "fault": st.sampled_from(["kill"]),
    },
    optional={
        "nodes": st.just(["n1"]),
        "groups": st.just([["n1", "n2"], ["n3"]]),
        "grudge": st.just({"n1": ["n2"]}),
        "settings": st.just({"percent": 5}),
    },
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "window": st.integers(1, 500),
            "seed": st.integers(0, 2**62),
            "rate": st.floats(0, 1e6, allow_nan=False),
            "messages": st.none() | st.integers(1, 10**9),
            "queue-type": st.sampled_from(["quorum", "mirrored", "classic"]),
            "consume": st.sampled_from(["asynchronous", "polling", "mixed"]),
            "hold": st.sampled_from([0, "3s", [0, "20s"]]),
            "time-limit": st.sampled_from([60, "1m30s"]),
            "recover-within": st.sampled_from([None, 20, "1m"]),
            "log-patterns": st.just({"oom": r"out of \w+"}),
        },
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "nemesis": st.sampled_from(sorted(NEMESES))
            | st.lists(st.sampled_from(["kill", "loss"]), min_size=1),
            "quiet-before": SPANS,
            "fault-duration": SPANS,
            "overlapping": st.integers(1, 5),
        },
    )
    | st.fixed_dictionaries(
        {"schedule": st.lists(STEPS, min_size=1, max_size=3)},
        optional={"repeat-every": st.just("1m")},
    ),
)
def test_a_stored_plan_is_the_same_plan(common: dict[str, Any], faults: dict[str, Any]) -> None:
    plan = resolve({**common, **faults}, "x", WORKLOADS.keys(), NEMESES.keys())
    assert resolved(plan.to_yaml()) == plan


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_workload_can_be_asked_for_by_its_name_alone(workload: str) -> None:
    plan = resolved(f"workload: {workload}")
    assert plan.queue_type == QUEUE_TYPES[workload][0]
    assert resolved(plan.to_yaml()) == plan


def test_what_is_known_of_workloads_is_known_of_all() -> None:
    assert QUEUE_TYPES.keys() == WORKLOADS.keys()
    assert DEFAULTS.keys() <= WORKLOADS.keys()


def test_what_a_plan_says_goes_before_its_workloads_default() -> None:
    assert resolved("workload: order").consumers == 5
    assert resolved("workload: order\nconsumers: 2").consumers == 2


def test_a_stored_plan_of_a_mirrored_queue_is_the_same_plan() -> None:
    plan = resolved(
        "queue-type: mirrored\nmirrors: all\npromote-on-shutdown: always\nconfirm: transactions"
    )
    assert resolved(plan.to_yaml()) == plan


def test_the_policy_of_a_mirrored_queue() -> None:
    exactly = {"ha-mode": "exactly", "ha-params": 3, "ha-sync-mode": "automatic"}
    assert mirroring(resolved("queue-type: mirrored")) == exactly
    plan = resolved("queue-type: mirrored\nmirrors: all\npromote-on-failure: when-synced")
    assert mirroring(plan) == {
        "ha-mode": "all",
        "ha-sync-mode": "automatic",
        "ha-promote-on-failure": "when-synced",
    }


def test_of_which_nemeses_faults_are_drawn() -> None:
    assert Plan().nemeses == ("partition-random-halves",)
    assert Plan(nemesis=("kill", "loss")).nemeses == ("kill", "loss")
    assert Plan(nemesis="none").nemeses == ()
    assert Plan(schedule=(PlannedFault(at=1, lasts=2, fault="kill"),)).nemeses == ()
