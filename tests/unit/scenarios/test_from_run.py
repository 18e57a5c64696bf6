"""Scenarios from runs: the plan and the faults of the run, and never over an existing file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment.plan_file import resolve_plan
from jepsenvm.experiment.store import HISTORY, PLAN
from jepsenvm.history.journal import Journal
from jepsenvm.history.nemesis_records import HEAL, HEALED, IN_FORCE, INJECT, SCHEDULE, START, STOP
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.units import SECOND
from jepsenvm.nemesis.manual import FIRST_NUMBER
from jepsenvm.nemesis.registry import NEMESES, stages
from jepsenvm.nemesis.request import FaultRequest
from jepsenvm.nemesis.schedule import schedule
from jepsenvm.plan.plan import Plan
from jepsenvm.scenarios.fault_item import schedule_keys
from jepsenvm.scenarios.from_run import scenario_text
from jepsenvm.scenarios.reading import read_scenario
from jepsenvm.scenarios.scenario import Scenario

NODES = ("n1", "n2", "n3", "n4", "n5")
LOAD_BEGAN_S = 7.0


def fault(name: str, **request: Any) -> Mapping[str, Any]:
    """Return a fault that a nemesis drew, as a history has it."""
    return stages(name, FaultRequest(NODES, Random(3), **request))[0].fault.as_data()


def stored(
    folder: Path, plan: Plan, by_hand: Mapping[float, Mapping[str, Any]], *, lasts: float = 20
) -> Path:
    """Store a run with its drawn faults, and faults by hand at these seconds of the load."""
    path = folder / "store" / "mine" / "20261125T140311.000000Z"
    path.mkdir(parents=True)
    (path / PLAN).write_text(plan.to_yaml())
    now = 0.0

    def clock() -> int:
        return round(now * SECOND)

    journal = Journal(path / HISTORY, clock, about={"plan": plan.to_yaml()})
    planned = [
        {"at": step.at, "until": step.until, "fault": step.fault.as_data()}
        for step in schedule(plan, NODES)
    ]
    journal.append("info", SCHEDULE, process=NEMESIS, data=planned)
    now = LOAD_BEGAN_S
    for process, node in enumerate(NODES):
        journal.append("invoke", "enqueue", process, process=process, node=node)
    for number, (second, data) in enumerate(by_hand.items()):
        times = {INJECT: second, IN_FORCE: second + 0.2, HEAL: second + lasts, HEALED: second + 99}
        for phase, at in times.items():
            now = LOAD_BEGAN_S + at
            record = {"phase": phase, "window": FIRST_NUMBER + number, "fault": data}
            f = START if phase in (INJECT, IN_FORCE) else STOP
            journal.append("info", f, process=NEMESIS, data={**record, "fired": {}})
    journal.close()
    return path


Made = Callable[..., Scenario]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Make a scenario called ``again`` from a run with a plan and faults by hand."""

    def make(
        plan: Plan, by_hand: Mapping[float, Mapping[str, Any]] | None = None, **options: Any
    ) -> Scenario:
        run = stored(tmp_path, plan, by_hand or {}, **options)
        path = tmp_path / "again.yml"
        path.write_text(scenario_text("again", run))
        return read_scenario(path)

    return make


@pytest.mark.parametrize(
    "text",
    [
        {"seed": 4},
        {"seed": 4, "queue-type": "mirrored", "mirrors": "all", "sync-mode": "manual"},
        {"seed": 4, "workload": "lock", "hold": 20, "nemesis": ["kill", "loss"], "overlapping": 2},
        {"seed": 4, "workload": "order", "consumers": 3},
        {
            "seed": 4,
            "nemesis": "none",
            "rate": [{"for": 10, "from": 5}],
            "log-patterns": {"a": "b"},
        },
        {"schedule": [{"at": 5, "for": 10, "fault": "kill", "nodes": ["n2"]}], "repeat-every": 30},
    ],
)
def test_a_scenario_of_a_run_has_an_equal_plan(made: Made, text: dict[str, Any]) -> None:
    plan = resolve_plan({"name": "mine", **text}, "plan.yml")
    again = made(plan)
    assert again.plan == plan.model_copy(update={"name": "again"})
    assert "partition-handling" not in again.document
    assert {"workload", "queue-type", "time-limit", "seed"} <= set(again.document)


def test_a_scenario_of_a_run_expects_nothing_and_names_the_run(made: Made) -> None:
    again = made(Plan(seed=1))
    assert again.expectation("3.10.8") is None
    assert again.about.source == ("the run mine/20261125T140311.000000Z",)
    assert "UNKNOWN" in again.about.story


@pytest.mark.parametrize("seed", range(6))
def test_a_drawn_fault_that_ends_with_the_load_is_planned_within_it(made: Made, seed: int) -> None:
    plan = Plan(seed=seed, time_limit=61.3, quiet_before=(3, 7), fault_duration=(5.1, 9.9))
    again = made(plan, {1.0: fault("kill")}, lasts=1)
    assert len(again.plan.schedule or ()) > 3


def test_faults_by_hand_are_scheduled_beside_those_that_were_drawn(made: Made) -> None:
    plan = Plan(seed=1, name="mine", time_limit=90, quiet_before=15, fault_duration=45)
    by_hand = {
        40.0: fault("loss", victims=("n3",), settings={"percent": 60}),
        80.0: fault("kill", victims=("n2",)),
    }
    again = made(plan, by_hand)
    assert again.plan.schedule is not None
    drawn, loss, kill = again.plan.schedule
    (step,) = schedule(plan, NODES)
    assert (drawn.at, drawn.lasts, drawn.fault) == (15, 45, "partition")
    assert dict(drawn.grudge) == {n: tuple(sorted(of)) for n, of in step.fault.grudge.items()}
    assert (loss.at, loss.lasts, loss.fault, loss.nodes) == (40.2, 19.8, "loss", ("n3",))
    assert loss.settings == {"percent": 60}
    assert (kill.at, kill.lasts, kill.nodes) == (80.2, 9.8, ("n2",))
    assert again.plan.nemeses == ()


def test_a_session_without_planned_faults_becomes_a_schedule(made: Made) -> None:
    again = made(Plan(seed=1, nemesis="none", time_limit=60), {10.0: fault("kill-all")})
    (step,) = schedule(again.plan, NODES)
    assert (step.at, step.fault.nodes) == (10.2, NODES)


def test_a_fault_after_the_load_is_left_out(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    by_hand = {5.0: fault("pause"), 70.0: fault("kill")}
    again = made(Plan(seed=1, nemesis="none", time_limit=60), by_hand)
    assert again.plan.schedule is not None
    assert [item.fault for item in again.plan.schedule] == ["pause"]
    assert "began after the load, and is left out" in caplog.text


@pytest.mark.parametrize("name", [name for name, spec in NEMESES.items() if spec])
def test_every_fault_can_be_scheduled_again(name: str) -> None:
    groups = (("n1", "n2"),) if name == "partition" else ()
    texts = {"upgrade": {"to": "3.10.9"}, "feature-flag": {"flag": "khepri_db"}}.get(name, {})
    target = {"upgrade-to": "3.10.9"} if name == "upgrade" else {}
    for stage in stages(name, FaultRequest(NODES, Random(5), groups=groups, texts=texts)):
        keys = schedule_keys(stage.fault.as_data(), NODES)
        item = {"at": 1, "for": 30, **keys}
        plan = resolve_plan({"time-limit": 60, "schedule": [item], **target}, "plan.yml")
        again = schedule(plan, NODES)[0].fault
        assert again.kind == stage.fault.kind
        assert again.role == stage.fault.role
        if stage.fault.role is None:
            # A feature flag is enabled on all nodes, whichever is asked to.
            assert name == "feature-flag" or again.nodes == stage.fault.nodes
            assert again.grudge == stage.fault.grudge
            assert again.settings == stage.fault.settings


def test_a_fault_of_an_unknown_nemesis_is_refused() -> None:
    data = {**fault("kill"), "name": "earthquake"}
    with pytest.raises(UsageError, match="unknown nemesis 'earthquake'"):
        schedule_keys(data, NODES)


def test_a_run_whose_records_are_malformed_is_refused(tmp_path: Path) -> None:
    run = stored(tmp_path, Plan(seed=1, nemesis="none"), {5.0: {"kind": "kill", "name": "kill"}})
    with pytest.raises(UsageError, match="records of its faults are not understood"):
        scenario_text("again", run)


def test_a_name_that_no_run_can_have_is_refused(tmp_path: Path) -> None:
    run = stored(tmp_path, Plan(seed=1), {})
    with pytest.raises(UsageError, match="name"):
        scenario_text("../evil", run)
