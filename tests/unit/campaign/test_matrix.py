"""The expansion of a campaign file to its runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsenvm.campaign.matrix import MOST_RUNS, expand
from jepsenvm.campaign.planned import PlannedRun
from jepsenvm.campaign.reading import PlanRules
from jepsenvm.campaign.rules import ScenarioCase
from jepsenvm.campaign.spec import parse
from jepsenvm.errors import UsageError
from jepsenvm.experiment.plan_file import parse_plan
from jepsenvm.scenarios import library
from tests.unit.campaign.builders import TWO_VERSIONS, campaign, expansion


def test_each_combination_is_a_run_with_its_own_plan() -> None:
    found = expansion(TWO_VERSIONS, plan={"time-limit": 70}, repeats=2)
    assert len(found.runs) == 8
    assert len({run.id for run in found.runs}) == 8
    first = found.runs[0]
    assert first.settings["version"] == "3.10.8"
    assert first.settings["queue-type"] == "quorum"
    plan = parse_plan(first.plan, "plan")
    assert (plan.time_limit, plan.queue_type, plan.name) == (70, "quorum", first.id)
    assert [run.seed for run in found.runs[:2]] == [1, 2]
    assert found.left_out == ()


def test_a_seed_of_the_plan_is_that_of_every_repeat() -> None:
    assert {run.seed for run in expansion({}, include=[{}], plan={"seed": 7}, repeats=3).runs} == {
        7
    }


def test_seeds_of_the_matrix_are_no_settings() -> None:
    runs = expansion({"seed": [3, 4]}).runs
    assert [run.seed for run in runs] == [3, 4]
    assert runs[0].settings == runs[1].settings


def test_the_ids_stay_when_the_file_gets_more_runs() -> None:
    less = {run.id for run in expansion({"version": ["3.10.8"], "nemesis": ["kill"]}).runs}
    more = {run.id for run in expansion({"version": ["3.10.8", "4.3.6"], "nemesis": ["kill"]}).runs}
    assert less < more


def test_mirrored_queues_are_left_out_from_4_0_with_the_reason() -> None:
    found = expansion({"version": ["3.10.8", "4.0.5"], "queue-type": ["quorum", "mirrored"]})
    assert len(found.runs) == 3
    (left_out,) = found.left_out
    assert left_out.settings == {"version": "4.0.5", "queue-type": "mirrored"}
    assert "mirrored queues were removed in RabbitMQ 4.0" in left_out.reason


def test_streams_are_left_out_before_3_9() -> None:
    found = expansion({"version": ["3.8.9", "4.0.5"], "queue-type": ["quorum", "stream"]})
    assert [one.settings["version"] for one in found.left_out] == ["3.8.9"]


def test_partition_handling_runs_once_from_4_3() -> None:
    found = expansion(
        {"version": ["3.10.8", "4.3.6"], "partition-handling": ["autoheal", "pause_minority"]}
    )
    assert [
        (run.settings["version"], run.settings["partition-handling"]) for run in found.runs
    ] == [("3.10.8", "autoheal"), ("3.10.8", "pause_minority"), ("4.3.6", "-")]
    assert found.runs[2].cluster.partition_handling is None
    (left_out,) = found.left_out
    assert "RabbitMQ 4.3 and later ignore partition-handling" in left_out.reason


def test_a_fault_that_does_not_apply_to_the_queue_type_is_left_out() -> None:
    found = expansion({"queue-type": ["quorum", "classic"], "nemesis": ["replica-shrink", "kill"]})
    assert len(found.runs) == 3
    assert "applies to" in found.left_out[0].reason


def test_a_nemesis_gets_the_texts_of_the_plan() -> None:
    matrix = {"version": ["3.10.8"], "nemesis": ["upgrade"]}
    found = expansion(matrix, plan={"upgrade-to": "3.11.28"})
    assert [run.settings["nemesis"] for run in found.runs] == ["upgrade"]
    assert found.left_out == ()


def test_exclusions_remove_combinations() -> None:
    found = expansion(
        {"version": ["3.8.9", "3.10.8", "4.3.6"], "nemesis": ["kill", "pause"]},
        exclude=[{"version": "3", "nemesis": ["kill"]}],
    )
    assert len(found.runs) == 4
    assert found.excluded == 2


def test_an_include_is_one_more_run() -> None:
    found = expansion(
        {"version": ["3.10.8"]}, include=[{"version": "4.0.5", "nemesis": "kill", "window": 5}]
    )
    assert found.runs[-1].settings["window"] == "5"
    assert parse_plan(found.runs[-1].plan, "plan").window == 5


def test_the_first_expectation_that_matches_counts() -> None:
    found = expansion(
        TWO_VERSIONS,
        expect=[
            {"match": {"version": "4", "queue-type": "classic"}, "verdict": "any"},
            {"match": {"queue-type": ["classic", "mirrored"]}, "verdict": "invalid"},
            {"match": {"publishers": 2}, "verdict": "any"},
        ],
    )
    assert [run.expected for run in found.runs] == ["valid", "invalid", "valid", "any"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "the matrix is empty: 0 runs; give matrix or include"),
    ({"matrix": {"nemesis": []}}, "0 runs; give values of nemesis"),
    (
        {"matrix": {"nemesis": ["kill"]}, "exclude": [{"nemesis": "kill"}]},
        "the matrix is empty: 0 of 1 combinations",
    ),
    (
        {"matrix": {"seed": list(range(200)), "window": list(range(1, 200))}, "repeats": 1000},
        "the matrix has 39,800,000 runs, and a campaign has at most 10,000",
    ),
    ({"matrix": {"nemesis": ["kill"]}, "plan": {"nemesis": "pause"}}, "is in matrix and in plan"),
    ({"matrix": {"nemesis": ["kill", "kill"]}}, "'kill' is given twice"),
    ({"matrix": {"nemesis": ["kill", "kil"]}}, "0 of 1 combinations with nemesis 'kil' can run"),
    (
        {"matrix": {"version": ["4.0.5", "4.3.6"], "queue-type": ["quorum", "mirrored"]}},
        "0 of 2 combinations with queue-type 'mirrored' can run: queue-type: mirrored queues were",
    ),
    ({"matrix": {"version": [3.1]}}, "a version is a text such as '3.10.8' (found 3.1)"),
    ({"matrix": {"nemesis": ["kill"]}, "exclude": [{"window": 1}]}, "window is not in matrix"),
    ({"matrix": {"nemesis": ["kill"]}, "exclude": [{}]}, "exclude item 1: it has no keys"),
    (
        {"matrix": {"nemesis": ["kill"]}, "exclude": [{"nemesis": "pause"}]},
        "exclude item 1 matches no combination",
    ),
    (
        {"include": [{"version": "4.0.5", "queue-type": "mirrored"}]},
        "include item 1: queue-type: mirrored queues were removed in RabbitMQ 4.0",
    ),
    (
        {"include": [{"version": "4.3.6", "partition-handling": "ignore"}]},
        "include item 1: RabbitMQ 4.3 and later ignore partition-handling",
    ),
    ({"include": [{"version": 4.3}]}, "include item 1: version: a version is a text"),
    ({"matrix": {"window": [1]}, "include": [{"window": 1}]}, "include item 1 is already in"),
    ({"matrix": {"window": [1]}, "plan": {"version": "4.3.6"}}, "version is no key of the runs'"),
    ({"matrix": {"nodes": [0]}}, "nodes must be a number from 1 to 99 (found 0)"),
    ({"include": [{"nodes": True}]}, "nodes must be a number from 1 to 99 (found True)"),
    ({"matrix": {"window": [1]}, "plan": {"nodes": 3}}, "nodes is no key of the runs'"),
    ({"matrix": {"colour": ["red"]}}, "unknown key 'colour'"),
    ({"matrix": {"scenario": ["no-such"]}}, "there is no scenario 'no-such'"),
]


@pytest.mark.parametrize(("content", "text"), REFUSED)
def test_a_campaign_that_cannot_be_meant_is_refused(content: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        expand(parse({"name": "c", **content}, "c.yml"), "c.yml", PlanRules())
    assert text in str(caught.value)
    assert str(caught.value).startswith("c.yml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({}, "name: must be given"),
        ({"name": "../x"}, "name: "),
        ({"name": "c", "repeat": 3}, "unknown key 'repeat'"),
        ({"name": "c", "repeats": 0}, "repeats: "),
        ({"name": "c", "budget": "soon"}, "budget: must be seconds"),
        ({"name": "c", "expect": [{"verdict": "lost"}]}, "expect item 1 verdict: "),
        ({"name": "c", "machines": [{}]}, "give either lab or inventory"),
        ({"name": "c", "machines": [{"lab": "a"}, {"lab": "a"}]}, "lab a is given twice"),
        ({"name": "c", "machines": [{"lab": "a; reboot"}]}, "machines item 1 lab: "),
        ({"name": "c", "machines": [{"lab": "a", "may-reset": True}]}, "may-reset goes only with"),
        ({"name": "c", "versions": {"new": {"suite": "sid"}}}, "a version is a text"),
        ({"name": "c", "versions": {"4.1.0": {"suite": "sid -x"}}}, "suite"),
    ],
)
def test_a_bad_file_is_refused_with_the_key(content: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=r"^c\.yml: ") as caught:
        parse(content, "c.yml")
    assert text in str(caught.value)


class _Scenarios(PlanRules):
    def scenario(self, name: str, version: str | None) -> ScenarioCase:
        plan = {"queue-type": "mirrored", "time-limit": 80, "seed": 7}
        refusal = "it is about 3.x" if version and version.startswith("4") else None
        return ScenarioCase(plan, "invalid", ("total-queue",), refusal, nodes=3)


def test_a_scenario_gives_the_plan_and_what_is_expected() -> None:
    file = campaign({"scenario": ["a"], "version": ["3.10.8", "4.0.5"]})
    with pytest.raises(UsageError, match=r"version '4\.0\.5' can run: it is about 3"):
        expand(file, "c.yml", _Scenarios())
    file = campaign({"scenario": ["a", "b"], "version": ["3.10.8"]}, repeats=2)
    runs = expand(file, "c.yml", _Scenarios()).runs
    assert [(run.settings["scenario"], run.seed) for run in runs] == [
        ("a", 7),
        ("a", 8),
        ("b", 7),
        ("b", 8),
    ]
    assert {(run.expected, run.checkers, run.cluster.nodes) for run in runs} == {
        ("invalid", ("total-queue",), 3)
    }
    assert len({run.id for run in runs}) == 4  # alike, but asked for twice by name


def test_every_scenario_of_the_library_expands_where_it_applies() -> None:
    versions = ["3.8.9", "3.10.8", "4.0.5", "4.3.6"]
    found = expansion({"scenario": library.names(), "version": versions})
    by_case = {(run.settings["scenario"], run.settings["version"]): run for run in found.runs}
    drained = by_case["mirrored-drain", "3.8.9"]
    assert (drained.expected, drained.checkers) == ("invalid", ("total-queue",))
    assert by_case["mirrored-drain", "3.10.8"].expected == "valid"
    assert ("mirrored-drain", "4.0.5") not in by_case
    assert {run.cluster.nodes for run in found.runs} <= {None, 1, 3, 5}
    plan = parse_plan(drained.plan, "plan")
    assert plan.model_copy(update={"name": "mirrored-drain"}) == (
        library.find("mirrored-drain").plan
    )


def test_without_a_version_nothing_is_expected_of_a_scenario() -> None:
    (run,) = expansion({"scenario": ["mirrored-drain"]}).runs
    assert run.expected == "any"


def test_numbers_of_nodes_are_clusters_of_their_own() -> None:
    found = expansion({"nodes": [3, 5], "nemesis": ["kill"]})
    assert [run.cluster.nodes for run in found.runs] == [3, 5]
    assert [run.cluster.key for run in found.runs] == [
        "autoheal-15-3-nodes",
        "autoheal-15-5-nodes",
    ]
    assert "kill, 3 nodes" in found.runs[0].title


VALUES: dict[str, list[Any]] = {
    "version": ["3.8.9", "3.10.8", "4.0.5", "4.3.6"],
    "queue-type": ["quorum", "mirrored", "classic", "stream"],
    "partition-handling": ["autoheal", "ignore", "pause_minority"],
    "window": [1, 2],
    "seed": [1, 2],
}


@settings(max_examples=25, deadline=None)
@given(
    keys=st.sets(st.sampled_from(sorted(VALUES)), min_size=1),
    repeats=st.integers(1, 3),
    data=st.data(),
)
def test_every_combination_runs_or_is_accounted_for(
    keys: set[str], repeats: int, data: st.DataObject
) -> None:
    matrix = {
        key: data.draw(st.lists(st.sampled_from(VALUES[key]), min_size=1, unique=True))
        for key in sorted(keys)
    }
    try:
        found = expansion(matrix, repeats=repeats)
    except UsageError as problem:
        assert "can run" in str(problem)  # noqa: PT017 - other campaigns are not refused
        return
    size = 1
    for values in matrix.values():
        size *= len(values)
    assert len(found.runs) / repeats + len(found.left_out) + found.excluded == size
    assert len({run.id for run in found.runs}) == len(found.runs) <= MOST_RUNS
    assert all(PlannedRun.from_data(run.as_data()) == run for run in found.runs)
    assert all(len(run.id) <= 64 for run in found.runs)


def test_data_of_a_run_survives_json() -> None:
    (run,) = expansion({"window": [2]}).runs
    data: Mapping[str, Any] = run.as_data()
    assert PlannedRun.from_data(data) == run
