"""The search for a smaller plan, with an oracle instead of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsenvm.checkers.outcome import Outcome
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.experiment.plan_file import parse_plan
from jepsenvm.nemesis.schedule import schedule
from jepsenvm.scenarios.fault_item import planned_items
from jepsenvm.shrink.failure import fails_alike
from jepsenvm.shrink.reductions import reductions, subsets
from jepsenvm.shrink.search import Answer, Oracle, smallest
from jepsenvm.shrink.subject import Subject, with_faults
from jepsenvm.shrink.trials import is_valid, plan_of

NODES = ("n1", "n2", "n3", "n4", "n5")


def subject(text: str, nodes: int | None = None) -> Subject:
    plan = parse_plan(text, "plan")
    document = yaml.safe_load(plan.to_yaml())
    planned = [
        {"at": one.at, "until": one.until, "fault": one.fault.as_data()}
        for one in schedule(plan, NODES)
    ]
    return Subject(with_faults(document, planned_items(planned, NODES)), nodes)


BIG = subject(
    "nemesis: [partition-random-halves, kill]\ntime-limit: 600\nquiet-before: 20\n"
    "fault-duration: 40\npublishers: 4\nwindow: 100\nconsumers: 5\nmessage-size: 5000\nseed: 3\n",
    5,
)
"""Ten faults."""


def oracle(fails: Callable[[Subject], bool], trials: list[Subject], most: int = 10**6) -> Oracle:
    def ask(candidate: Subject) -> Answer:
        if len(trials) >= most:
            return Answer.NO_TIME
        trials.append(candidate)
        return Answer.FAILS if fails(candidate) else Answer.PASSES

    return ask


def search(
    fails: Callable[[Subject], bool], most: int = 10**6
) -> tuple[Subject, list[Subject], bool]:
    trials: list[Subject] = []
    found: list[Subject] = []
    result = smallest(BIG, oracle(fails, trials, most), valid=is_valid, found=found.append)
    assert result.trials == len(trials)
    assert all(fails(one) for one in found)
    assert (found[-1] if found else BIG) == result.subject
    return result.subject, trials, result.complete


def kills(one: Subject) -> list[Any]:
    return [item for item in one.schedule if item["fault"] == "kill"]


def test_the_faults_of_a_run_are_listed_with_their_nodes() -> None:
    assert len(BIG.schedule) == 10
    assert {item["fault"] for item in BIG.schedule} == {"partition", "kill"}
    assert all(item.get("nodes") or item.get("grudge") for item in BIG.schedule)
    listed = schedule(plan_of(BIG), NODES)
    drawn = schedule(
        parse_plan(
            "nemesis: [partition-random-halves, kill]\ntime-limit: 600\nquiet-before: 20\n"
            "fault-duration: 40\nseed: 3\n",
            "plan",
        ),
        NODES,
    )
    assert [(one.at, one.until, one.fault.nodes, one.fault.grudge) for one in listed] == [
        (one.at, one.until, one.fault.nodes, one.fault.grudge) for one in drawn
    ]


def test_one_short_kill_under_little_load_is_what_remains() -> None:
    found, trials, complete = search(lambda one: bool(kills(one)))
    assert complete
    assert len(found.schedule) == 1
    (item,) = found.schedule
    assert item["fault"] == "kill"
    assert item["for"] < 10
    assert len(item["nodes"]) == 1
    plan = plan_of(found)
    assert (plan.publishers, plan.window, plan.consumers, plan.rate) == (1, 1, 0, 10)
    assert plan.message_size is None
    assert plan.time_limit < 25
    assert found.nodes == 3
    assert len(trials) < 100


def test_what_is_needed_stays() -> None:
    needed = {item["at"] for item in BIG.schedule[2:4]}

    def fails(one: Subject) -> bool:
        plan = one.plan
        long = [item for item in one.schedule if item["for"] >= 20]
        return len(long) >= 2 and plan["window"] >= 20 and plan["message-size"] is not None

    found, _, complete = search(fails)
    assert complete
    assert len(found.schedule) == 2
    assert found.plan["window"] == 25
    assert found.plan["message-size"] == 5000
    assert all(item["for"] == 20 for item in found.schedule)
    assert len(needed) == 2


def test_nothing_smaller_leaves_the_original() -> None:
    found, trials, complete = search(lambda one: one == BIG)
    assert found == BIG
    assert complete
    assert len({one.key for one in trials}) == len(trials)


@pytest.mark.parametrize("most", [0, 1, 5])
def test_without_time_the_smallest_so_far_is_returned(most: int) -> None:
    found, trials, complete = search(lambda one: bool(kills(one)), most)
    assert not complete
    assert len(trials) == most
    assert kills(found)


def test_the_search_repeats_itself() -> None:
    def fails(one: Subject) -> bool:
        return Random(one.key).random() < 0.4

    first, second = search(fails), search(fails)
    assert first == second


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000))
def test_any_oracle_ends_with_a_valid_plan_and_no_trial_twice(seed: int) -> None:
    def fails(one: Subject) -> bool:
        return Random(f"{seed} {one.key}").random() < 0.3

    found, trials, complete = search(fails)
    assert complete
    assert is_valid(found)
    assert all(is_valid(one) for one in trials)
    assert len({one.key for one in trials}) == len(trials)


def test_a_drawn_plan_becomes_shorter_and_simpler() -> None:
    plan = parse_plan("nemesis: [kill, pause]\noverlapping: 3\ntime-limit: 600\n", "plan")
    drawn = Subject(yaml.safe_load(plan.to_yaml()))
    result = smallest(drawn, oracle(lambda _: True, []), valid=is_valid, found=lambda _one: None)
    small = plan_of(result.subject)
    assert (small.nemesis, small.overlapping) == ("kill", 1)
    assert small.time_limit < 150


@given(items=st.lists(st.integers(), max_size=12))
def test_subsets_are_smaller_parts_and_include_each_item_alone(items: list[int]) -> None:
    parts = [tuple(part) for part in subsets(items)]
    assert all(0 < len(part) < len(items) for part in parts)
    if len(items) > 1:
        assert {(item,) for item in items} <= set(parts)
    else:
        assert parts == []


def test_a_smaller_cluster_keeps_every_fault() -> None:
    three = [one for one in reductions(BIG) if one.nodes == 3]
    for one in three:
        assert len(one.schedule) == len(BIG.schedule)
        names = str(one.schedule)
        assert "n4" not in names
        assert "n5" not in names
    assert all(one.nodes is None for one in reductions(Subject(BIG.plan)))


@pytest.mark.parametrize(
    ("verdict", "kinds", "alike"),
    [
        (Verdict.INVALID, ("total-queue: lost",), True),
        (Verdict.INVALID, ("availability", "total-queue: lost"), True),
        (Verdict.INVALID, ("total-queue: unexpected",), False),
        (Verdict.UNKNOWN, ("total-queue: lost",), False),
        (Verdict.VALID, (), False),
    ],
)
def test_a_failure_is_alike_if_it_has_the_same_anomalies(
    verdict: Verdict, kinds: tuple[str, ...], alike: bool
) -> None:
    original = Outcome(Verdict.INVALID, ("total-queue: lost",))
    assert fails_alike(Outcome(verdict, kinds), original) is alike
    assert not fails_alike(None, original)
