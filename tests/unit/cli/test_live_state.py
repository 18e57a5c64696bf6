"""What a live view shows after the events of a run."""

from __future__ import annotations

import pytest

from jepsenvm.cli.live_state import LiveState, Row
from jepsenvm.experiment.run_events import (
    FaultStep,
    LoadFigures,
    PhaseBegan,
    RunBegan,
    fault_step,
)
from jepsenvm.history.nemesis_records import HEAL, HEALED, IN_FORCE, INJECT
from jepsenvm.history.recent_latencies import quantile
from jepsenvm.nemesis.records import FaultRecord
from jepsenvm.steps import Step
from jepsenvm.workloads.clients import ClientCounts
from jepsenvm.workloads.figures import NodeFigures

FAST, SLOW = 40, 120
"""Bins of 1 ms and 10 s."""


def started(*nodes: str, limit: float = 60.0) -> LiveState:
    state = LiveState()
    state.apply(RunBegan("queue, quorum", nodes), 0.0)
    state.apply(PhaseBegan("load", limit), 10.0)
    return state


def figures(state: LiveState, now: float, **acknowledged: int) -> None:
    nodes = {
        node: NodeFigures(ClientCounts(1, 0), {FAST: count} if count else {})
        for node, count in acknowledged.items()
    }
    state.apply(LoadFigures(nodes), now)


def row(state: LiveState, node: str, now: float) -> Row:
    return next(row for row in state.view(now).rows if row.node == node)


def test_the_phase_and_the_time_left() -> None:
    state = started("n1")
    view = state.view(22.0)
    assert (view.title, view.phase, view.elapsed_s, view.left_s) == (
        "queue, quorum",
        "load",
        12,
        48,
    )
    assert not view.is_limit
    assert state.view(90.0).left_s == 0
    state.apply(PhaseBegan("recover", 120.0), 71.0)
    view = state.view(72.0)
    assert (view.phase, view.left_s, view.is_limit) == ("recover", 119, True)
    assert view.rows == ()
    state.apply(PhaseBegan("check"), 80.0)
    assert state.view(81.0).left_s is None


def test_rates_and_quantiles_are_those_of_the_last_seconds() -> None:
    state = started("n1", "n2")
    for half in range(1, 41):
        figures(state, 10 + half / 2, n1=50, n2=0 if half > 20 else 10)
    assert row(state, "n1", 30.0).rate == pytest.approx(100)
    assert row(state, "n1", 30.0).state == "serving"
    assert row(state, "n1", 30.0).p99_s == quantile({FAST: 1}, 0.99)
    assert row(state, "n2", 30.0).rate == 0
    assert row(state, "n2", 30.0).state == "no acknowledgements"
    assert row(state, "n2", 30.0).p99_s is None
    # A run that tells nothing more has no rate.
    assert row(state, "n1", 34.0).rate == 0


def test_the_99th_percentile_sees_what_is_rare() -> None:
    state = started("n1")
    nodes = {"n1": NodeFigures(ClientCounts(1, 0), {FAST: 95, SLOW: 5})}
    state.apply(LoadFigures(nodes), 11.0)
    assert row(state, "n1", 12.0).p99_s == quantile({SLOW: 1}, 1)


def test_a_rate_at_the_beginning() -> None:
    state = started("n1")
    figures(state, 10.5, n1=50)
    assert row(state, "n1", 10.5).rate == pytest.approx(100)
    assert row(started("n1"), "n1", 10.0).rate == 0


def test_a_node_without_connections() -> None:
    state = started("n1")
    state.apply(LoadFigures({"n1": NodeFigures(ClientCounts(0, 4))}), 11.0)
    assert row(state, "n1", 12.0).state == ""
    shown = row(state, "n1", 14.0)
    assert (shown.state, shown.is_good, shown.clients.connecting) == ("no connection", False, 4)
    state.apply(LoadFigures({}), 14.5)
    assert row(state, "n1", 15.0).clients == ClientCounts(0, 0)


def test_a_fault_from_its_injection_to_its_end() -> None:
    state = started("n1", "n2")
    step = FaultStep(1, INJECT, "kill {n2}", {"n2": "kill"}, ends_in_s=20.0)
    state.apply(step, 15.0)
    assert state.view(16.0).faults == ("fault 1: kill {n2} being injected, 19 s left",)
    assert row(state, "n2", 16.0).state == "kill"
    assert row(state, "n1", 16.0).state == "no connection"
    state.apply(FaultStep(1, IN_FORCE, "kill {n2}", {"n2": "kill"}, ends_in_s=18.0), 17.0)
    assert state.view(20.0).faults == ("fault 1: kill {n2} in force, 15 s left",)
    state.apply(FaultStep(1, HEAL, "kill {n2}", {"n2": "kill"}, ends_in_s=0.0), 35.0)
    assert state.view(36.0).faults == ("fault 1: kill {n2} healing",)
    state.apply(FaultStep(1, HEALED, "kill {n2}"), 37.0)
    assert state.view(38.0).faults == ()
    assert row(state, "n2", 38.0).state == "no connection"


def test_several_faults_and_one_that_is_not_proven() -> None:
    state = started("n1")
    state.apply(FaultStep(2, INJECT, "b {n1}", {"n1": "b"}), 11.0)
    state.apply(FaultStep(1, IN_FORCE, "a {n1}", {"n1": "a"}, error="not seen"), 12.0)
    assert state.view(12.0).faults == (
        "fault 1: a {n1} NOT PROVEN: not seen",
        "fault 2: b {n1} being injected",
    )
    assert row(state, "n1", 12.0).state == "a, b"
    assert not row(state, "n1", 12.0).is_good


def test_another_run_begins_anew() -> None:
    state = started("n1")
    state.apply(FaultStep(1, INJECT, "a {n1}"), 11.0)
    state.apply(Step("collecting logs", 1, 5), 12.0)
    assert state.view(12.0).step == Step("collecting logs", 1, 5)
    state.apply(RunBegan("lock", ["n2"]), 20.0)
    state.apply(PhaseBegan("load", 5.0), 20.0)
    view = state.view(20.0)
    assert (view.title, view.faults, view.step) == ("lock", (), None)
    assert [shown.node for shown in view.rows] == ["n2"]


def test_the_labels_of_a_partition() -> None:
    grudge = {"n1": ["n3"], "n2": ["n3"], "n3": ["n1", "n2"]}
    fault = {
        "kind": "partition",
        "name": "partition",
        "text": "n1 n2 | n3",
        "nodes": [],
        "grudge": grudge,
    }
    record = FaultRecord("start", IN_FORCE, 7, fault, isolates_nodes=True)
    step = fault_step(record, ["n1", "n2", "n3"], 4.0)
    assert step.labels == {"n1": "with n2", "n2": "with n1", "n3": "alone"}
    assert (step.number, step.text, step.ends_in_s) == (7, "partition {n1 n2 | n3}", 4.0)


def test_a_fault_that_could_not_be_injected_touches_no_node_and_goes_away() -> None:
    fault = {"kind": "kill", "name": "kill", "text": "n1", "nodes": ["n1"], "grudge": {}}
    record = FaultRecord("start", IN_FORCE, 1, fault, error="could not be injected: no answer")
    state = started("n1")
    state.apply(fault_step(record, ["n1"], 10.0), 12.0)
    (line,) = state.view(13.0).faults
    assert line == "fault 1: kill {n1} NOT PROVEN: could not be injected: no answer, 9 s left"
    assert row(state, "n1", 12.5).state == ""
    assert state.view(22.5).faults == ()


def test_after_the_healing_no_fault_is_shown() -> None:
    state = started("n1")
    state.apply(FaultStep(1, IN_FORCE, "a {n1}", {"n1": "a"}), 11.0)
    state.apply(PhaseBegan("heal"), 20.0)
    assert state.view(20.0).faults == ("fault 1: a {n1} in force",)
    state.apply(PhaseBegan("recover", 60.0), 25.0)
    assert state.view(25.0).faults == ()
