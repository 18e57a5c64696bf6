"""The library: every scenario can be run, names a source, and expects one thing of each version."""

from __future__ import annotations

from itertools import chain

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment.plan_file import plan_of_new_run
from jepsenvm.nemesis.registry import MIXES, NEMESES
from jepsenvm.nemesis.schedule import schedule
from jepsenvm.scenarios import library
from jepsenvm.scenarios.scenario import NONE_RECORDED, Scenario
from jepsenvm.scenarios.suitability import require_version
from jepsenvm.scenarios.version_range import contains

SCENARIOS = library.scenarios()
every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)

SUITES = ("3.8.9", "3.10.8", "4.0.5", "4.3.6")
"""The versions of RabbitMQ in the suites of the lab."""


@every_scenario
def test_a_scenario_can_be_scheduled_on_its_nodes(scenario: Scenario) -> None:
    count = scenario.about.nodes or 5
    nodes = [f"n{number}" for number in range(1, count + 1)]
    steps = schedule(scenario.plan, nodes)
    assert bool(steps) is (scenario.plan.nemesis != "none" or scenario.plan.schedule is not None)


@every_scenario
def test_a_scenario_names_its_source_and_has_a_seed(scenario: Scenario) -> None:
    assert scenario.about.source
    assert "seed" in scenario.document


@every_scenario
def test_a_scenario_accepts_a_version_of_the_lab_to_which_it_applies(scenario: Scenario) -> None:
    applies = [version for version in SUITES if contains(scenario.about.versions, version)]
    assert applies
    for version in applies:
        require_version(scenario, version)


@every_scenario
def test_each_version_of_the_lab_has_an_entry_among_the_expected_verdicts(
    scenario: Scenario,
) -> None:
    for version in SUITES:
        if contains(scenario.about.versions, version):
            entries = [item for item in scenario.about.expected if contains(item.versions, version)]
            certain = [item for item in entries if item.verdict != NONE_RECORDED]
            assert entries, version
            assert len(certain) <= 1, version


@every_scenario
def test_a_scenario_also_runs_as_a_plan(scenario: Scenario) -> None:
    assert plan_of_new_run(scenario.path, {}) == scenario.plan


def test_a_quorum_queue_meets_every_nemesis_with_three_and_with_five_replicas() -> None:
    permanent = {name for name, spec in NEMESES.items() if spec and spec.permanent}
    for count in (3, 5):
        met = {
            item.fault
            for scenario in SCENARIOS
            if scenario.name.startswith(f"quorum-{count}-") and scenario.plan.schedule
            for item in scenario.plan.schedule
        }
        assert met == set(NEMESES) - {"none", *MIXES} - permanent


def test_the_scenarios_of_the_issue_exist() -> None:
    wanted = {
        *("aphyr-2014", "aphyr-lock", "simonovic-2016", "pato-rolling", "blip", "mirrored-drain"),
        *("vanlightly-unsynced", "vanlightly-when-synced", "vanlightly-ignore-restart"),
        *("halves-autoheal", "halves-ignore", "halves-pause-minority", "classic-sac-crash"),
        *(f"rabbitmq-ci-{number:02}" for number in range(1, 15)),
        *("quorum-resend", "quorum-log-overwrite", "orphaned-unacked", "exclusive-khepri"),
        *("power-classic", "power-quorum", "power-stream", "topology-halves", "delivery-limit"),
        *("single-active-consumer", "partial-partition", "cut-during-recovery", "stream-halves"),
        *("dead-letter-at-least-once", "dead-letter-at-most-once", "classic-vanishes"),
        *("classic-compaction", "upgrade-rolling"),
    }
    assert wanted <= set(library.names())


def test_the_scenarios_of_earlier_versions_exist() -> None:
    old = ("mirrored-autoheal", "quorum-autoheal", "lock-partition", "redelivery-limit")
    assert set(old) <= set(library.names())


def test_rare_outcomes_are_repeated() -> None:
    rare = {
        scenario.name
        for scenario in SCENARIOS
        if any(item.certainty == "rare" for item in scenario.about.expected)
    }
    assert rare == {
        *("quorum-resend", "quorum-log-overwrite"),
        *("classic-vanishes", "classic-compaction"),
    }
    assert all(library.find(name).about.repeat >= 2 for name in rare)


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("blibp", "there is no scenario 'blibp'; did you mean blip?"),
        ("xyzzy", "there is no scenario 'xyzzy'; see `jepsenvm scenario list`"),
        ("./missing.yml", "missing.yml: No such file"),
    ],
)
def test_an_unknown_scenario_is_one_line(word: str, problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        library.find(word)
    assert problem in str(refused.value)


def test_a_range_of_versions_contains_releases_and_their_previews() -> None:
    inside = [("<4.0", "3.13.7"), (">=4.0", "4.0.0-rc.1"), ("==4.0.*", "4.0.5"), (">=3.8", "4.3.6")]
    outside = [("<4.0", "4.0.0-beta.2"), ("==4.0.*", "4.1.0"), (">=3.8", "unknown"), ("<4", "")]
    assert all(contains(*pair) for pair in inside)
    assert not any(contains(*pair) for pair in chain(outside))
