"""Scenario files: each problem is named with its file, its key and the remedy, in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment.plan_file import plan_of_new_run, read_plan
from jepsenvm.scenarios.reading import read_scenario, scenario_of
from tests.unit.scenarios.texts import about, document, scenario, write

RARE = {"versions": ">=3.8", "verdict": "invalid", "certainty": "rare"}


def test_a_file_gives_its_plan_and_its_expectations(tmp_path: Path) -> None:
    read = read_scenario(write(tmp_path, "queue-type: classic\ntime-limit: 100"))
    assert (read.name, read.about.title) == ("mine", "A title")
    assert (read.plan.queue_type, read.plan.time_limit) == ("classic", 100)
    assert set(read.document) == {"name", "queue-type", "time-limit"}
    assert read.as_data()["plan"] == {"name": "mine", "queue-type": "classic", "time-limit": 100}


def test_jepsenvm_run_takes_a_scenario_but_a_stored_plan_is_none(tmp_path: Path) -> None:
    path = write(tmp_path, "seed: 3")
    assert plan_of_new_run(path, {}).seed == 3
    with pytest.raises(UsageError, match="unknown key 'scenario'"):
        read_plan(path)


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"title": None}, ["scenario title: must be given"]),
        ({"title": "  "}, ["scenario title: String should have at least 1 character"]),
        ({"titel": "x"}, ["scenario: unknown key 'titel' (known: expected, nodes, outcomes"]),
        ({"source": []}, ["scenario source: must not be empty"]),
        ({"source": "a post"}, ["scenario source: Input should be a list"]),
        ({"versions": "3 or 4"}, ["scenario versions: must be a range of versions like >=3.8,<4"]),
        ({"versions": ""}, ["scenario versions: must not be empty"]),
        ({"versions": 4}, ["scenario versions: Input should be a valid string"]),
        ({"expected": []}, ["scenario expected: must not be empty"]),
        ({"nodes": 0}, ["scenario nodes: Input should be greater than or equal to 1"]),
        ({"nodes": True}, ["scenario nodes: Input should be a valid integer (found True)"]),
        ({"repeat": 0}, ["scenario repeat: Input should be greater than or equal to 1"]),
        (
            {"expected": [{"versions": "<4", "verdict": "lost"}]},
            ["scenario expected item 1 verdict: Input should be 'valid', 'invalid' or 'none rec"],
        ),
        (
            {"expected": [{"versions": "<4", "verdict": "valid", "sure": 1}]},
            ["scenario expected item 1: unknown key 'sure' (known: certainty, checkers"],
        ),
        (
            {"expected": [{"versions": "<4", "verdict": "valid", "certainty": "rare"}]},
            ["scenario expected item 1: certainty: rare goes only with verdict: invalid"],
        ),
        (
            {"expected": [{"versions": "<4", "verdict": "valid", "checkers": ["stats"]}]},
            ["scenario expected item 1: checkers go only with verdict: invalid"],
        ),
        (
            {"expected": [{"versions": "<4", "verdict": "invalid", "checkers": ["losses"]}]},
            ["expected item 1 checkers: workload queue has no checker 'losses' (known: availab"],
        ),
        ({"expected": [RARE]}, ["repeat must be at least 2 with a rare expectation"]),
        (
            {"outcomes": {"valid": "Good."}},
            ["scenario outcomes invalid: must be given"],
        ),
        (
            {"outcomes": {"valid": "Good.", "invalid": "Bad.", "maybe": "Hm."}},
            ["scenario outcomes: unknown key 'maybe' (known: invalid, unknown, valid)"],
        ),
        ({"title": None, "nodes": "five"}, ["scenario title", "scenario nodes"]),
    ],
)
def test_each_problem_is_named_in_one_line(changes: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        scenario(**changes)
    line = str(refused.value)
    assert line.startswith("mine.yml: ")
    assert line.endswith("; see docs/scenarios.md")
    assert "\n" not in line
    for problem in problems:
        assert problem in line


@pytest.mark.parametrize("value", [None, 3, "text", ["list"]])
def test_the_key_scenario_is_a_mapping(value: object) -> None:
    with pytest.raises(UsageError, match=r"mine.yml: scenario: .* \(found "):
        scenario_of({"scenario": value, "name": "mine"}, Path("mine.yml"))


def test_a_plan_is_no_scenario() -> None:
    with pytest.raises(UsageError, match=r"mine.yml: scenario: must be given; add that key"):
        scenario_of({"name": "mine"}, Path("mine.yml"))


def test_a_bad_plan_is_refused_as_everywhere() -> None:
    with pytest.raises(UsageError, match=r"mine.yml: .*unknown key 'nemessis'"):
        scenario("nemessis: kill")


def test_a_scenario_is_called_as_its_file() -> None:
    with pytest.raises(UsageError, match=r"other.yml: name: must be other, as .* \(found mine\)"):
        scenario_of(document(), Path("other.yml"))


def test_a_rare_expectation_is_repeated() -> None:
    assert scenario(expected=[RARE], repeat=2).about.repeat == 2


def test_the_first_entry_with_the_version_counts() -> None:
    expected = [
        {"versions": "==4.0.*", "verdict": "invalid"},
        {"versions": "==4.1.*", "verdict": "none recorded"},
        {"versions": ">=4.0", "verdict": "valid"},
    ]
    read = scenario(expected=expected)
    verdicts = {
        version: found.verdict if (found := read.expectation(version)) else None
        for version in ("3.10.8", "4.0.5", "4.1.2", "4.3.6")
    }
    assert verdicts == {"3.10.8": None, "4.0.5": "invalid", "4.1.2": None, "4.3.6": "valid"}


def test_what_a_file_says_is_shown_in_lines() -> None:
    text = "\n".join(scenario(expected=[RARE], repeat=2, nodes=3, story="word " * 60).lines())
    assert "mine: A title" in text
    assert "source: a post" in text
    assert "applies to RabbitMQ >=3.8,<4.3, on 3 nodes" in text
    assert "expected on >=3.8: invalid (rare)" in text
    assert "the plan, 2 times:" in text
    assert max(map(len, text.splitlines())) <= 100
    assert about()["story"] not in text
