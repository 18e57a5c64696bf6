"""Trials with a runner that runs nothing, the original run, and the command."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from jepsenvm.campaign.folder import Folder
from jepsenvm.campaign.planned import PlannedRun
from jepsenvm.campaign.runner import Ended
from jepsenvm.campaign.spec import Machines
from jepsenvm.checkers.outcome import Outcome
from jepsenvm.cli import shrink as command
from jepsenvm.errors import UsageError
from jepsenvm.experiment.plan_file import parse_plan
from jepsenvm.experiment.resumption import Resumption
from jepsenvm.experiment.store import Store, create
from jepsenvm.history.journal import Journal
from jepsenvm.history.nemesis_records import SCHEDULE
from jepsenvm.history.op import NEMESIS
from jepsenvm.machines.inventory import Inventory
from jepsenvm.nemesis.schedule import schedule
from jepsenvm.scenarios.fault_item import planned_items
from jepsenvm.shrink.original import OriginalRun, original_run
from jepsenvm.shrink.search import Answer
from jepsenvm.shrink.subject import Subject
from jepsenvm.shrink.trials import Effort, Trials
from tests.unit.campaign.builders import INVALID, UNKNOWN, VALID, FakeRunner
from tests.unit.cli.conftest import assert_one_line, jepsenvm, json_of  # noqa: F401 - a fixture
from tests.unit.fakes import node

NODES = ("n1", "n2", "n3", "n4", "n5")
PLAN = parse_plan("nemesis: kill\ntime-limit: 200\npublishers: 3\nwindow: 50\nseed: 3\n", "plan")
DOCUMENT = yaml.safe_load(PLAN.to_yaml())
PLANNED = [
    {"at": one.at, "until": one.until, "fault": one.fault.as_data()}
    for one in schedule(PLAN, NODES)
]
ORIGINAL = OriginalRun(
    DOCUMENT, planned_items(PLANNED, NODES), INVALID, "3.10.8", 5, "/inv.yml", existing=False
)
LAB = Machines(lab="default")


def trials(folder: Path, runner: FakeRunner, machines: Machines = LAB, **effort: Any) -> Trials:
    return Trials(
        ORIGINAL,
        machines,
        Folder(folder),
        runner,
        print,
        effort=Effort(**{"deadline": time.monotonic() + 10**6, **effort}),
    )


@pytest.mark.parametrize(
    ("outcomes", "tries", "answer", "runs"),
    [
        ([INVALID], 3, Answer.FAILS, 1),
        ([VALID, UNKNOWN, INVALID], 3, Answer.FAILS, 3),
        ([VALID, VALID, INVALID], 2, Answer.PASSES, 2),
        ([replace(INVALID, kinds=("total-queue: unexpected",))], 1, Answer.PASSES, 1),
        ([None], 1, Answer.PASSES, 1),
    ],
)
def test_a_subject_is_tried_until_it_fails_alike(
    tmp_path: Path, outcomes: list[Outcome | None], tries: int, answer: Answer, runs: int
) -> None:
    def ended(_run: PlannedRun, number: int) -> Ended:
        outcome = outcomes[number - 1]
        return Ended("verdict", outcome) if outcome else Ended("failed", error="n1 died")

    runner = FakeRunner(ended)
    assert trials(tmp_path, runner, tries=tries)(Subject(DOCUMENT, 5)) is answer
    assert len(runner.ran) == runs
    assert (tmp_path / "runs/trial-1/plan.yml").exists()


def test_a_trial_that_would_not_end_in_time_does_not_begin(tmp_path: Path) -> None:
    runner = FakeRunner()
    found = trials(tmp_path, runner, deadline=time.monotonic() + 200)
    assert found(Subject(DOCUMENT, 5)) is Answer.NO_TIME
    assert runner.ran == []


def test_a_smaller_lab_is_made_anew(tmp_path: Path) -> None:
    runner = FakeRunner(lambda *_: Ended("verdict", INVALID))
    found = trials(tmp_path, runner)
    assert found.may_change_size
    found(Subject(DOCUMENT, 5))
    found(Subject(DOCUMENT, 3))
    assert [cluster.nodes for _, cluster, _ in runner.prepared] == [5, 3]
    assert not trials(tmp_path, runner, Machines(inventory="hosts.yml")).may_change_size


def test_a_cluster_that_cannot_be_deployed_fails_no_trial(tmp_path: Path) -> None:
    runner = FakeRunner(breaks=lambda _: True)
    assert trials(tmp_path, runner)(Subject(DOCUMENT, 5)) is Answer.PASSES


# The run that is shrunk.


@pytest.fixture
def stored(tmp_path: Path) -> Store:
    store = create(tmp_path / "store", PLAN)
    journal = Journal(store.history, lambda: 1, about={"plan": PLAN.to_yaml()})
    journal.append("info", SCHEDULE, process=NEMESIS, data=PLANNED)
    journal.close()
    results = {
        "verdict": "invalid",
        "reasons": [],
        "checkers": {"total-queue": {"verdict": "invalid", "lost-count": 3}},
    }
    store.write("results.json", json.dumps(results))
    nodes = tuple(map(node, NODES))
    inventory = Inventory(tmp_path / "hosts.yml", "cloud", nodes, tmp_path / "s", {})
    sizes = dict.fromkeys(NODES)
    Resumption.of_this_run(inventory, "q", time.time(), sizes).write(store)
    return store


def test_the_original_run_is_read_from_its_folder(stored: Store) -> None:
    found = original_run(stored.path)
    assert found.outcome.kinds == ("total-queue: lost",)
    assert list(found.schedule) == planned_items(PLANNED, NODES)
    assert len(found.schedule) == 3
    assert found.nodes == 5
    assert found.document["seed"] == 3


@pytest.mark.parametrize("verdict", ["valid", "unknown", "no results"])
def test_only_an_invalid_run_can_be_shrunk(stored: Store, verdict: str) -> None:
    if verdict == "no results":
        (stored.path / "results.json").unlink()
    else:
        stored.write(
            "results.json", json.dumps({"verdict": verdict, "reasons": [], "checkers": {}})
        )
    with pytest.raises(UsageError, match="only an invalid run can be shrunk"):
        original_run(stored.path)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not the folder of a run"):
        original_run(tmp_path)


# The command.


def test_the_smallest_plan_is_written(
    jepsenvm: Any,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    runner = FakeRunner(lambda *_: Ended("verdict", INVALID))
    monkeypatch.setattr(command, "original_run", lambda _: ORIGINAL)
    monkeypatch.setattr(command, "ProcessRunner", lambda *_: runner)
    result = jepsenvm(
        "shrink", "RUN", "--lab", "default", "--dir", tmp_path / "s", "--budget", "10h", "--json"
    )
    data = json_of(result, "shrink")
    assert (data["reproduced"], data["complete"]) == (True, True)
    assert data["plan"] == str(tmp_path / "s/shrunk.yml")
    assert f"the smallest: {data['smallest']}" in result.stderr
    assert "nothing smaller fails" in result.stderr
    text = (tmp_path / "s/shrunk.yml").read_text()
    assert text.startswith("# Needs a cluster of 3 nodes.\n")
    small = parse_plan(text, "shrunk.yml")
    assert (small.publishers, small.window, small.name) == (1, 1, "run-shrunk")
    assert small.schedule is not None
    assert len(small.schedule) == 1


def test_a_run_that_does_not_fail_again_is_unknown(
    jepsenvm: Any,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    runner = FakeRunner(lambda *_: Ended("verdict", VALID))
    monkeypatch.setattr(command, "original_run", lambda _: ORIGINAL)
    monkeypatch.setattr(command, "ProcessRunner", lambda *_: runner)
    result = jepsenvm("shrink", "RUN", "--dir", tmp_path / "s", "--tries", "2")
    assert result.exit_code == 2
    assert len(runner.ran) == 4  # with its faults listed, and as drawn
    assert not (tmp_path / "s/shrunk.yml").exists()
    assert runner.prepared[0][0] == "/inv.yml"
    assert_one_line(jepsenvm("shrink", "RUN", "--lab", "A B"), 254, "not the name of a lab")
    assert_one_line(jepsenvm("shrink", "RUN", "--lab", "a", "-i", "b"), 254, "give one of them")
