"""Plan files: all problems are reported together, and stored plans are read back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from jepsenvm.errors import UsageError
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.plan.keys import keys_of
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.queue_types import QueueType, keys_of_one_queue_type, queue_type_spec
from jepsenvm.plan.rate import RatePiece
from jepsenvm.plan.reading import read, resolve
from jepsenvm.plan.schedule_item import ScheduleItem
from jepsenvm.rabbitmq.policies import mirroring
from jepsenvm.workloads.dead_letter import DeadLetterOptions
from jepsenvm.workloads.lock import LockOptions
from jepsenvm.workloads.order import OrderOptions
from jepsenvm.workloads.registry import WORKLOADS


def resolved(text: str) -> Plan:
    return resolve(read(text, "plan.yml"), "plan.yml", WORKLOADS, NEMESES)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("time-limits: 3", "unknown key 'time-limits' (did you mean 'time-limit'?)"),
        ("time_limit: 3", "unknown key 'time_limit'"),
        ("time-limit: -1", "time-limit: Input should be greater than 0 (found -1)"),
        ("time-limit: .nan", "time-limit"),
        ("time-limit: .inf", "time-limit"),
        ("message-size: 42", "message-size: must be at least 43 bytes, the header of a body"),
        ("message-size: 0", "message-size: must be at least 43 bytes"),
        ("message-size: 134217729", "message-size: must be at most 134217728 bytes"),
        ("message-size: [42, 100]", "message-size item 1: must be at least 43 bytes"),
        ("message-size: [100, 134217729]", "message-size item 2: must be at most 134217728 bytes"),
        ("message-size: [200, 100]", "message-size: must be [least, most] (found [200, 100])"),
        ("message-size: [100]", "message-size"),
        ("message-size: [100, 200, 300]", "message-size"),
        ("message-size: 8 KiB", "message-size"),
        ("message-size: 99.5", "message-size"),
        ("message-size: true", "message-size"),
        (
            "workload: lock\nmessage-size: 100",
            "message-size does not go with workload lock, whose only message is the lock",
        ),
        ("workers: 0", "workers: Input should be greater than or equal to 1 (found 0)"),
        ("workers: 65", "workers: Input should be less than or equal to 64 (found 65)"),
        ("workers: 2.5", "workers"),
        ("workers: true", "workers"),
        *(
            (
                f"workload: {name}\nworkers: 2",
                f"workers must be 1 with workload {name}, whose load runs in one process",
            )
            for name in ("lock", "redelivery", "topology")
        ),
        ("nemesis: gremlins", "nemesis: must be one of clients-drop, clients-kill"),
        (
            "workload: cooking",
            "workload: must be one of dead-letter, lock, order, queue, redelivery, stream, topology",
        ),
        ("queue-type: lazy", "queue-type"),
        ("name: ../../etc", "name"),
        ("seed: -1", "seed"),
        ("feature-flags: [khepri_db, 'x y']", "feature-flags item 2: String should match"),
        ("feature-flags: khepri_db", "feature-flags: Input should be a list"),
        ("rate: soon", "rate"),
        ("rate: 1e-300", "rate: must be 0 or at least 0.001"),
        ("rate: []", "rate: must not be empty"),
        ("rate: [5]", "rate item 1"),
        ("rate: [{for: 5s}]", "rate item 1 from: must be given"),
        ("rate: [{for: 0, from: 5}]", "rate item 1 for: Input should be greater than 0"),
        ("rate: [{for: 5s, from: 5, until: 7}]", "unknown key 'until' (known: for, from, to)"),
        ("rate: [{for: 5s, from: 0}, {for: 5s, from: 0, to: 0}]", "must not be 0 in every piece"),
        ("time-limit: 10", "no fault would ever be injected"),
        ("- 1", "a plan is a mapping"),
        ("a: [", "not readable as YAML"),
        ("a: [", "not readable as YAML: line "),
        ("seed: 1\nseed: 2", "line 2, column 1: the key 'seed' is given twice"),
        ("log-patterns: {oom: a, oom: b}", "the key 'oom' is given twice"),
        ("options: {hold: 1}", "unknown key 'options'"),
        (
            "time-limit: soon",
            "time-limit: must be seconds, or a text like 20s, 1m30s or 500ms (found 'soon')",
        ),
        ("time-limit: 0s", "time-limit: Input should be greater than 0 (found '0s')"),
        ("nemesis: []", "nemesis: must not be empty"),
        ("nemesis: [kill, gremlins]", "nemesis item 2: must be one of"),
        ("nemesis: [kill, none]", "nemesis item 2: none makes no faults, so it must stand alone"),
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
        (
            "log-patterns: {oom: '[[:foo:]]'}",
            "log-patterns oom: must be a regular expression: unknown property at position 8",
        ),
        ("forbidden-log-patterns: [oom]", "forbidden-log-patterns: no entry 'oom' in log-patterns"),
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
        (
            "schedule: [{at: 1, for: 2, fault: none}]",
            "schedule item 1 fault: none makes no faults, so it must stand alone",
        ),
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
            "schedule replaces nemesis, overlapping: give one or the other",
        ),
        (
            "repeat-every: 20\n"
            "schedule: [{at: 5, for: 2, fault: kill}, {at: 20, for: 6, fault: pause}]",
            "repeat-every (20 s) is shorter than the schedule (21 s)",
        ),
        (
            "workload: stream\nqueue-type: quorum",
            "workload stream needs queue-type stream, not quorum",
        ),
        (
            "workload: order\nqueue-type: stream",
            "workload order needs queue-type quorum or mirrored or classic, not stream",
        ),
        ("queue-type: stream\nconsumers: 1", "consumers must be 0 with queue-type stream"),
        (
            "queue-type: classic\ndelivery-limit: 3",
            "delivery-limit goes only with queue-type quorum",
        ),
        ("mirrors: 2", "mirrors goes only with queue-type mirrored"),
        (
            "confirm: transactions",
            "confirm: transactions needs queue-type mirrored or classic, not quorum",
        ),
        (
            "queue-type: classic\nconfirm: transactions\nwindow: 2",
            "confirm: transactions needs window 1",
        ),
        (
            "workload: lock\nqueue-type: classic\nfenced: true",
            "fenced goes only with queue-type quorum",
        ),
        ("workload: lock\nhold: [3, 1]", "hold: must be [least, most]"),
        ("consume: slowly", "consume: Input should be 'asynchronous', 'polling' or 'mixed'"),
    ],
)
def test_a_bad_plan_is_refused_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolved(text)
    line = str(refused.value)
    assert line.startswith("plan.yml")
    assert problem in line
    assert "\n" not in line
    assert refused.value.exit_status == 254


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(
        UsageError,
        match=r"(?s)window.*seed.*unknown key 'a'|unknown key 'a'.*window|window.*unknown",
    ):
        resolved("a: 1\nwindow: 0\nseed: x")


def test_an_empty_plan_is_the_default_plan() -> None:
    assert resolved("") == Plan()


def test_all_problems_of_a_schedule_are_reported_together() -> None:
    with pytest.raises(UsageError, match=r"item 1 at: .*item 2 fault: .*unknown key 'a'"):
        resolved("schedule: [{at: -1, for: 2, fault: kill}, {at: 1, for: 2, fault: x}]\na: 1")


RANGES = st.sampled_from([10, 2.5, "10s", "1s500ms", [5, 10], ["5s", "12s"]])
ITEMS = st.fixed_dictionaries(
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

RATE_PIECES = st.fixed_dictionaries(
    {"for": st.sampled_from([5, "1m"]), "from": st.integers(1, 1000)},
    optional={"to": st.integers(0, 1000)},
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "window": st.integers(1, 500),
            "seed": st.integers(0, 2**62),
            "rate": st.just(0) | st.floats(1, 1e6) | st.lists(RATE_PIECES, min_size=1, max_size=3),
            "messages": st.none() | st.integers(1, 10**9),
            "feature-flags": st.sampled_from(
                [[], ["khepri_db"], ["rabbitmq_4.0.0", "quorum_queue"]]
            ),
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
            "quiet-before": RANGES,
            "fault-duration": RANGES,
            "overlapping": st.integers(1, 5),
        },
    )
    | st.fixed_dictionaries(
        {"schedule": st.lists(ITEMS, min_size=1, max_size=3)},
        optional={"repeat-every": st.just("1m")},
    ),
)
def test_a_stored_plan_is_the_same_plan(common: dict[str, Any], faults: dict[str, Any]) -> None:
    plan = resolve({**common, **faults}, "x", WORKLOADS, NEMESES)
    assert resolved(plan.to_yaml()) == plan


@pytest.mark.parametrize("size", [None, 43, 134_217_728, (43, 43), (64, 8192)])
def test_a_stored_plan_keeps_the_size_of_messages(size: Any) -> None:
    plan = Plan(message_size=size)
    assert resolved(plan.to_yaml()) == plan


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
    assert mirroring(resolved("queue-type: mirrored\nsync-mode: manual")) == {
        **exactly,
        "ha-sync-mode": "manual",
    }


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("queue-type: classic", True),
        ("queue-type: quorum", False),
        ("queue-type: mirrored\npromote-on-failure: when-synced\nsync-mode: manual", True),
        ("queue-type: mirrored\npromote-on-failure: when-synced", False),
        ("queue-type: mirrored\npromote-on-failure: always\nsync-mode: manual", False),
        ("queue-type: mirrored\nsync-mode: manual", False),
    ],
)
def test_when_only_the_leader_may_serve_the_queue(text: str, alone: bool) -> None:
    assert resolved(text).leader_alone is alone


def test_a_sync_mode_goes_only_with_mirrored_queues() -> None:
    with pytest.raises(UsageError, match="sync-mode goes only with queue-type mirrored"):
        resolved("queue-type: quorum\nsync-mode: manual")


def test_the_nemeses_from_which_faults_are_drawn() -> None:
    assert Plan().nemeses == ("partition-random-halves",)
    assert Plan(nemesis=("kill", "loss")).nemeses == ("kill", "loss")
    assert Plan(nemesis="none").nemeses == ()
    assert Plan(schedule=(ScheduleItem(at=1, lasts=2, fault="kill"),)).nemeses == ()


STORED = {
    "queue": Plan(
        name="nightly",
        seed=3,
        quiet_before=(5, 20),
        fault_duration=(10, 45),
        nemesis=("kill", "loss"),
        overlapping=2,
        recover_within=60,
        log_patterns={"oom": r"out of \w+"},
        forbidden_log_patterns=("oom",),
    ),
    "mirrored": Plan(
        seed=4,
        queue_type="mirrored",
        mirrors="all",
        promote_on_failure="when-synced",
        confirm="transactions",
        publishers=2,
        messages=1000,
    ),
    "dead-letter": Plan(
        workload="dead-letter",
        seed=5,
        rate=200,
        options=DeadLetterOptions(
            message_ttl=0.2, dead_letter_strategy="at-most-once", dead_letter_target="refusing"
        ),
    ),
    "order": Plan(
        workload="order",
        seed=6,
        queue_type="classic",
        consumers=5,
        prefetch=1,
        consume="mixed",
        options=OrderOptions(single_active=False),
    ),
    "lock": Plan(
        workload="lock",
        seed=7,
        delivery_limit=-1,
        quorum_group_size=5,
        options=LockOptions(hold=(10, 25), fenced=True),
    ),
    "stream": Plan(workload="stream", seed=8, queue_type="stream", window=20, nemesis="none"),
    "redelivery": Plan(workload="redelivery", seed=9, consumers=5, prefetch=20, delivery_limit=20),
    "schedule": Plan(
        seed=2**62,
        time_limit=300,
        repeat_every=140,
        schedule=(
            ScheduleItem(at=20, lasts=45, fault="partition", groups=(("n1", "n2"), ("n3",))),
            ScheduleItem(at=80, lasts=20, fault="partition", grudge={"n1": ("n2", "n3")}),
            ScheduleItem(at=110, lasts=10, fault="loss", nodes=("n3",), settings={"percent": 60}),
        ),
    ),
}
"""The plans of the files that jepsenvm 0.1.0 stored, which had the keys of all workloads."""


@pytest.mark.parametrize("name", STORED)
def test_a_plan_stored_by_0_1_0_is_read_with_the_same_meaning(name: str) -> None:
    text = (Path(__file__).parent / "data" / f"plan-0.1.0-{name}.yml").read_text()
    plan = resolved(text)
    assert plan == STORED[name]
    assert resolved(plan.to_yaml()) == plan


def test_keys_of_another_workload_are_validated_and_have_no_effect() -> None:
    assert resolved("hold: 20\nfenced: true\nsingle-active: false") == Plan()
    with pytest.raises(UsageError, match=r"hold: must be \[least, most\] \(found \[3, 1\]\)"):
        resolved("workload: queue\nhold: [3, 1]")


def test_a_plan_file_has_the_keys_of_its_own_workload_only() -> None:
    text = resolved("workload: lock\nhold: 20s").to_yaml()
    assert "hold: 20.0" in text
    assert "message-ttl" not in text
    assert "options" not in text


def test_options_and_the_other_keys_are_reported_together() -> None:
    with pytest.raises(UsageError) as refused:
        resolved("workload: lock\nhold: soon\nwindow: 0\nfence: true")
    for problem in ("hold: must be seconds", "window: Input", "unknown key 'fence'"):
        assert problem in str(refused.value)


def test_workload_and_queue_type_problems_are_reported_together() -> None:
    with pytest.raises(UsageError) as refused:
        resolved("workload: order\nqueue-type: stream")
    for problem in ("workload order needs queue-type", "consumers must be 0 with queue-type"):
        assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("consumer-churn: 5", "consumer-churn: needs consumers of at least 1"),
        ("consumer-delay: 5", "consumer-delay: needs consumers of at least 1"),
        (
            "consumers: 3\nconsume: polling\nconsumer-crash: 5\nconsumer-delay: 1",
            "consumer-crash, consumer-delay: needs consume asynchronous or mixed, not polling",
        ),
        ("workload: lock\nconsumer-churn: 5", "consumer-churn: workload lock has no consumers"),
        ("workload: redelivery\nconsumer-crash: 5", "consumer-crash: workload redelivery has no"),
        ("workload: dead-letter\nconsumer-delay: 5", "consumer-delay: workload dead-letter has"),
        ("workload: stream\nconsumer-timeout: 5", "consumer-timeout: workload stream has no"),
        ("queue-type: stream\nconsumer-churn: 5", "consumer-churn: needs consumers of at least 1"),
        (
            "queue-type: stream\nconsumers: 1\nconsumer-churn: 5",
            "consumers must be 0 with queue-type stream",
        ),
        (
            "consumers: 1\nconsumer-crash: [90, 100]",
            "consumer-crash (90 s) must be shorter than time-limit (90 s), or it would have no",
        ),
        (
            "consumers: 1\nconsumer-timeout: 2m",
            "consumer-timeout (120 s) must be shorter than time-limit (90 s)",
        ),
        (
            "consumers: 1\nconsumer-churn: [99ms, 5]",
            "consumer-churn must be at least 0.1 s (found 0.099 s)",
        ),
        ("consumers: 1\nconsumer-churn: 0", "consumer-churn: Input should be greater than 0"),
        ("consumers: 1\nconsumer-churn: [5, 1]", "consumer-churn: must be [least, most]"),
        ("consumers: 1\nconsumer-delay: true", "consumer-delay"),
        ("consumers: 1\nconsumer-timeout: [5, 6]", "consumer-timeout"),
        (
            "consumers: 1\nconsumer-crash: 5\nconsumer-churn: 5\ndelivery-limit: 20",
            "delivery-limit must be -1 with consumer-churn, consumer-crash: the broker drops what",
        ),
    ],
)
def test_consumers_that_cannot_do_what_the_plan_says_are_refused(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=re.escape(problem)) as refused:
        resolved(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "consumers: 1\nconsumer-churn: 0.1\nconsumer-crash: [1, 89]\nconsumer-delay: 1ms",
        "consumers: 2\nconsume: mixed\nconsumer-timeout: 60s\nconsumer-delay: [65, 70]",
        "workload: order\nqueue-type: classic\nconsumer-churn: [2, 4]",
        "consumers: 1\nconsumer-crash: 5\ndelivery-limit: -1",
        "consumers: 1\nconsumer-delay: 5\ndelivery-limit: 20",
    ],
)
def test_consumers_may_churn_crash_and_be_slow(text: str) -> None:
    plan = resolved(text)
    assert resolved(plan.to_yaml()) == plan


@pytest.mark.parametrize("workload", ["queue", "order", "stream", "dead-letter"])
def test_a_load_may_have_several_processes(workload: str) -> None:
    assert resolved(f"workload: {workload}\nworkers: 64").workers == 64
    assert resolved(f"workload: {workload}").workers == 1


def test_an_error_message_does_not_repeat_a_large_value() -> None:
    with pytest.raises(UsageError) as refused:
        resolved(f"window: [{', '.join(['1'] * 1000)}]\n{'k' * 500}: 1\nworkload: {'w' * 500}")
    assert "window: " in str(refused.value)
    assert len(str(refused.value)) < 600


def test_every_key_is_described() -> None:
    models: list[type[BaseModel]] = [Plan, ScheduleItem, RatePiece]
    models += [workload.options for workload in WORKLOADS.values()]
    for model in models:
        for key in keys_of(model):
            assert key.description.endswith("."), key.key


def test_the_table_of_keys_has_defaults_units_and_choices() -> None:
    keys = {key.key: key for key in (*keys_of(Plan), *keys_of(ScheduleItem))}
    assert "options" not in keys
    assert (keys["time-limit"].default, keys["time-limit"].unit) == ("90", "seconds")
    assert (keys["repeat-every"].default, keys["repeat-every"].unit) == ("none", "seconds")
    assert keys["rate"].unit == "messages per second"
    assert keys["consume"].choices == ("asynchronous", "polling", "mixed")
    assert (keys["for"].default, keys["for"].unit) == ("", "seconds")
    (hold, fenced) = keys_of(LockOptions)
    assert (hold.default, hold.unit, fenced.default) == ("[0, 1]", "seconds", "false")


def test_every_queue_type_has_its_facts() -> None:
    for name in get_args(QueueType):
        assert queue_type_spec(name).about
    keys = {key.key for key in keys_of(Plan)}
    assert keys_of_one_queue_type().keys() <= keys
