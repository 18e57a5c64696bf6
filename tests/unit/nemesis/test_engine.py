"""The nemesis engine on a fake fleet: what it tells the nodes, records and reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest

from jepsenvm.errors import CommandError
from jepsenvm.history.nemesis_records import HEAL, HEALED, IN_FORCE, INJECT, START
from jepsenvm.machines.rendezvous import NOTICE_S
from jepsenvm.nemesis import engine, heal_all, heal_timer, probes
from jepsenvm.nemesis.engine import HIDDEN, Nemesis, heal_everything
from jepsenvm.nemesis.evidence import EvidenceCollector, Probe
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.faults.file_corrupt import FileCorrupt
from jepsenvm.nemesis.faults.kill import Kill
from jepsenvm.nemesis.faults.partition import Partition
from jepsenvm.nemesis.faults.replica_shrink import ReplicaShrink
from jepsenvm.nemesis.power import PowerSwitch
from jepsenvm.nemesis.records import FaultRecord
from jepsenvm.nemesis.request import FaultRequest
from tests.unit.fakes import (
    NODES,
    FakeClock,
    FakeFault,
    FakeFleet,
    FakePower,
    LossFault,
    MomentaryFault,
    MutingFault,
    PowerFault,
    ScriptedProbe,
    facts,
)

FAULT = FakeFault(name="fake", text="n1 n2", nodes=("n1", "n2"))
DRAWN: dict[str, float | str] = {"way": "flip", "victims": "drawn", "at-percent": 50.0}


class Run:
    """A nemesis with its fake fleet and what it recorded."""

    def __init__(self, probe: Probe | None = None, **options: Any) -> None:
        self.clock = FakeClock()
        self.fleet = FakeFleet(clock=self.clock)
        self.records: list[FaultRecord] = []
        self.power = FakePower()
        self.nemesis = Nemesis(
            self.fleet,
            facts(*NODES),
            self.records.append,
            60.0,
            "jepsenvm.q",
            self.power.power(),
            probe=probe or ScriptedProbe(["whole", "broken", "broken", "whole"]),
            clock=self.clock,
            **options,
        )
        if isinstance(probe, ScriptedProbe):
            probe.clock = self.clock

    def phases(self) -> list[str]:
        return [record.phase for record in self.records]

    def errors(self) -> dict[str, str | None]:
        return {record.phase: record.error for record in self.records}

    def seen(self) -> str:
        """Return what a probe sees while a fault is in force, or while none is."""
        acts = [script.split()[0] for _, _, script in self.fired()]
        return "broken" if acts.count("break") > acts.count("mend") else "whole"

    def fired(self) -> list[tuple[str, str, str]]:
        return [
            (node, order["id"], action["stdin"])
            for node, program, order in self.fleet.orders
            if program == "fire" and "at" in order
            for action in order["actions"]
        ]


@pytest.fixture
def run() -> Iterator[Run]:
    made = Run()
    yield made
    made.fleet.close()


def test_a_proven_fault_is_recorded_in_all_its_phases(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run.nemesis.inject(3, FAULT, at=1010.0)
    run.nemesis.heal(3, at=1030.0)
    assert run.phases() == [INJECT, IN_FORCE, HEAL, HEALED]
    assert set(run.errors().values()) == {None}
    in_force, heal, healed = run.records[1:]
    assert in_force.proof["before"]["fake"] == "whole"
    assert in_force.proof["during"]["fake"] == "broken"
    assert heal.proof["at-end"]["fake"] == "broken"
    assert healed.proof["after"]["fake"] == "whole"
    assert in_force.fired == {"n1": 1010.001, "n2": 1010.002}
    assert in_force.skew_ms == 1.0
    assert caplog.messages == [
        "fault 3: fake {n1 n2} in force, skew 1.0 ms; proven (seen in fake)",
        "fault 3: healed, and seen healed",
    ]


def test_only_affected_nodes_act_and_at_the_same_instant(run: Run) -> None:
    run.nemesis.inject(3, FAULT, at=1010.0)
    assert run.fired() == [("n1", "3", "break 3"), ("n2", "3", "break 3")]
    assert {order["at"] for _, _, order in run.fleet.orders} == {1010.0}
    prepared = [node for node, script in run.fleet.scripts if "JEPSENVM" in script]
    assert sorted(prepared) == ["n1", "n2"]


def test_a_node_keeps_a_note_of_a_fault_until_it_is_healed(run: Run) -> None:
    run.nemesis.inject(3, FAULT)
    run.nemesis.heal(3)
    orders = [order for _, _, order in run.fleet.orders]
    injected, healed = orders[0], orders[-1]
    assert injected["note"]["fault"] == FAULT.as_data()
    assert injected["note"]["before"]["fake"] == "whole"
    assert not injected["forget"]
    assert (healed["note"], healed["forget"]) == (None, True)


def test_without_an_instant_a_fault_fires_as_soon_as_it_is_staged(run: Run) -> None:
    run.nemesis.inject(3, FAULT)
    assert {order["at"] for _, _, order in run.fleet.orders} == {1000.0 + NOTICE_S}


@pytest.mark.parametrize(("at", "instant"), [(None, 1001.5), (1001.0, 1001.5), (1010.0, 1010.0)])
def test_the_instant_is_chosen_when_the_last_node_is_ready(
    run: Run, monkeypatch: pytest.MonkeyPatch, at: float | None, instant: float
) -> None:
    """Otherwise a node that is slow to stage the fault would act after the others."""
    order_node = run.fleet.python

    def slow_on_n2(node: str, program: str, *arguments: Any, **options: Any) -> Any:
        if node == "n2":
            run.clock.sleep(instant - NOTICE_S - run.clock.time())
        return order_node(node, program, *arguments, **options)

    monkeypatch.setattr(run.fleet, "python", slow_on_n2)
    run.nemesis.inject(1, FAULT, at)
    assert {order["at"] for _, _, order in run.fleet.orders} == {instant}
    assert run.errors()[IN_FORCE] is None


def test_a_node_that_cannot_stage_a_fault_cancels_it_on_all(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing acts, so that no part of the fault remains."""

    def fails_on_n2(node: str, *arguments: Any, **options: Any) -> Any:
        if node == "n2":
            raise CommandError("iptables-restore: not found", node=node)
        return order_node(node, *arguments, **options)

    order_node = run.fleet.python
    monkeypatch.setattr(run.fleet, "python", fails_on_n2)
    run.nemesis.inject(1, FAULT)
    assert str(run.errors()[IN_FORCE]).startswith("could not be injected: n2: ")
    assert not run.fired()


def test_a_node_that_cannot_stage_a_healing_stops_no_other(run: Run) -> None:
    run.nemesis.inject(1, FAULT)
    run.fleet.broken.add("n2")
    run.nemesis.heal(1)
    assert [(node, script) for node, _, script in run.fired()][2:] == [("n1", "mend 1")]


def test_an_unproven_fault_is_recorded_with_its_reasons(caplog: pytest.LogCaptureFixture) -> None:
    run = Run(_probe_with_time(["whole", "whole"]))
    run.nemesis.inject(1, FAULT)
    assert run.errors()[IN_FORCE] == "the probe says whole"
    assert "NOT PROVEN: the probe says whole" in caplog.messages[0]


def test_a_fault_is_probed_until_it_is_seen() -> None:
    run = Run(_probe_with_time(["whole", "whole", "whole", "broken"]))
    run.nemesis.inject(1, FAULT)
    assert run.errors()[IN_FORCE] is None


def test_a_fault_that_did_not_last_is_recorded() -> None:
    run = Run(_probe_with_time(["whole", "broken", "whole"]))
    run.nemesis.inject(1, FAULT)
    run.nemesis.heal(1)
    assert run.errors()[IN_FORCE] is None
    assert run.errors()[HEAL] == "it did not last: the probe says whole"


def test_a_fault_that_is_left_after_healing_is_recorded(caplog: pytest.LogCaptureFixture) -> None:
    run = Run(_probe_with_time(["whole", "broken"]))
    run.nemesis.inject(1, FAULT)
    run.nemesis.heal(1)
    assert run.errors()[HEALED] == "the probe still says broken"
    assert caplog.messages[-1] == "fault 1: NOT HEALED: the probe still says broken"


def test_a_fault_that_cannot_be_injected_is_recorded_and_does_not_raise(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run.fleet.broken.add("n2")
    run.nemesis.inject(1, FAULT)
    error = "could not be injected: n2: no answer"
    assert run.errors()[IN_FORCE] == error
    assert caplog.messages == [f"fault 1: {error}"]


def test_what_a_failed_injection_left_is_healed(run: Run) -> None:
    run.fleet.broken.add("n2")
    run.nemesis.inject(1, FAULT)
    run.fleet.broken.clear()
    run.nemesis.heal(1)
    assert [node for node, _, script in run.fired() if script == "mend 1"] == ["n1", "n2"]


def test_a_node_that_cannot_be_healed_is_recorded_and_the_others_are_healed(run: Run) -> None:
    run.nemesis.inject(1, FAULT)
    run.fleet.broken.add("n1")
    run.nemesis.heal(1)
    assert run.errors()[HEALED] == "n1: no answer"
    run.nemesis.heal(1)
    assert run.phases().count(HEALED) == 1, "it is no longer active"


def test_a_fault_hidden_by_another_is_probed_again_before_it_heals(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = Run(ScriptedProbe(["whole", "broken"]))
    run.nemesis.inject(1, MutingFault(name="muting", text="n1 n2", nodes=("n1", "n2")))
    caplog.clear()
    run.nemesis.inject(2, FakeFault(name="fake", text="n1", nodes=("n1",)))
    assert "hidden by other faults until later" not in caplog.text, "it was broken before"
    assert run.records[-1].error == "it was broken before"


def test_a_fault_that_was_hidden_each_time_is_not_proven() -> None:
    run = Run(_probe_by_fault_count())
    muting = MutingFault(name="muting", text="n1", nodes=("n1",))
    run.nemesis.inject(1, muting)
    run.nemesis.inject(2, FakeFault(name="fake", text="n1", nodes=("n1",)))
    assert run.records[-1].error is None
    run.nemesis.heal(2)
    assert {record.number: record.error for record in run.records if record.phase == HEAL} == {
        2: HIDDEN
    }


def hidden_healing() -> Run:
    """Return a run that heals fault 1 while fault 2 hides it."""
    made: Run = Run(lambda names: dict.fromkeys(names, made.seen()))
    made.nemesis.inject(1, FakeFault(name="fake", text="n1", nodes=("n1",)))
    made.nemesis.inject(2, MutingFault(name="muting", text="n1", nodes=("n1",)))
    made.nemesis.heal(1)
    assert HEALED not in made.phases()
    return made


def test_a_healing_that_another_fault_hides_is_seen_when_that_one_is_healed() -> None:
    run = hidden_healing()
    assert not run.nemesis.seen_healed(1)
    run.nemesis.heal(2)
    assert run.nemesis.seen_healed(1)
    assert (run.records[-1].number, run.records[-1].phase) == (1, HEALED)
    assert {record.error for record in run.records if record.number == 1} == {None}


def test_a_healing_that_stays_hidden_is_not_proven() -> None:
    run = hidden_healing()
    run.nemesis.settle()
    assert (run.records[-1].number, run.records[-1].phase) == (1, HEALED)
    assert HIDDEN in str(run.records[-1].error)
    assert run.nemesis.seen_healed(1), "there is nothing left to look at"


def test_a_momentary_fault_that_was_hidden_is_not_proven() -> None:
    run = Run(_probe_by_fault_count())
    run.nemesis.inject(1, MutingFault(name="muting", text="n1", nodes=("n1",)))
    run.nemesis.inject(2, MomentaryFault(name="momentary", text="n1", nodes=("n1",)))
    assert run.records[-1].error == HIDDEN


def test_a_momentary_fault_is_not_probed_at_its_end() -> None:
    probe = ScriptedProbe(["whole", "broken", "whole"])
    run = Run(probe)
    run.nemesis.inject(1, MomentaryFault(name="momentary", text="n1", nodes=("n1",)))
    run.nemesis.heal(1)
    assert len(probe.calls) == 3
    assert set(run.errors().values()) == {None}


def test_a_node_without_power_does_not_fail_the_healing_of_another_fault(run: Run) -> None:
    run.nemesis.inject(1, FAULT)
    run.nemesis.inject(2, PowerFault(name="power", text="n2", nodes=("n2",)))
    run.fleet.broken.add("n2")
    run.nemesis.heal(1)
    assert [node for node, _, script in run.fired() if script == "mend 1"] == ["n1"]
    healed = [record for record in run.records if (record.number, record.phase) == (1, HEALED)]
    assert [record.error for record in healed] == [None]


def test_a_power_cut_goes_through_the_provider(run: Run) -> None:
    run.nemesis.inject(1, PowerFault(name="power", text="n2", nodes=("n2",)))
    assert run.power.events == ["cut n2, on 90 s after this process"]
    assert run.fleet.forgotten == ["n2"]
    run.nemesis.heal(1)
    assert run.power.events[1:] == ["on n2"]
    assert run.fired() == [], "no host can do it itself"


def test_a_power_loss_follows_what_its_nodes_do(run: Run) -> None:
    run.nemesis.inject(1, LossFault(name="loss", text="n2", nodes=("n2",)))
    assert run.fired() == [("n2", "1", "break 1")]
    assert run.power.events == ["lose n2, on 90 s after this process"]
    run.nemesis.heal(1)
    assert run.power.events[1:] == ["on n2"]
    assert run.fired() == [("n2", "1", "break 1")], "a host that was off has nothing to undo"


def test_no_power_is_lost_if_a_node_cannot_act_first(run: Run) -> None:
    run.fleet.broken.add("n3")
    run.nemesis.inject(1, LossFault(name="loss", text="n2 n3", nodes=("n2", "n3")))
    assert run.power.events == []
    assert run.errors()["in-force"] == "could not be injected: n3: no answer"


def test_without_a_provider_a_power_cut_is_not_injected() -> None:
    clock = FakeClock()
    records: list[FaultRecord] = []
    nemesis = Nemesis(
        FakeFleet(clock=clock),
        facts(*NODES),
        records.append,
        60.0,
        probe=ScriptedProbe(["whole"]),
        clock=clock,
    )
    nemesis.inject(1, PowerFault(name="power", text="n2", nodes=("n2",)))
    assert records[-1].error == (
        "could not be injected: the machine provider cannot switch these hosts off and on"
    )


def test_every_timer_is_armed_and_then_renewed_where_there_is_power(run: Run) -> None:
    run.nemesis.prepare()
    assert sorted(node for node, _ in run.fleet.scripts) == list(NODES)
    run.nemesis.inject(1, PowerFault(name="power", text="n2", nodes=("n2",)))
    run.fleet.scripts.clear()
    run.nemesis.renew()
    assert sorted(node for node, _ in run.fleet.scripts) == ["n1", "n3"]
    assert all("--on-active=90s" in script for _, script in run.fleet.scripts)


def test_a_timer_that_cannot_be_renewed_is_reported(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run.fleet.broken.add("n3")
    run.nemesis.renew()
    expected = "n3: its healing timer could not be renewed: n3: no answer"
    assert caplog.messages == [expected]


def test_the_end_heals_everything_and_returns_what_is_left(run: Run) -> None:
    run.nemesis.inject(1, PowerFault(name="power", text="n2 n3", nodes=("n2", "n3")))
    run.power.broken.add("n2")
    run.fleet.broken.add("n1")
    assert run.nemesis.end() == ["n2: does not boot", "n1: no answer"]
    assert "on n3" in run.power.events
    healed = [node for node, script in run.fleet.scripts if script == heal_all.heal_and_disarm()]
    assert sorted(healed) == ["n2", "n3"]


def test_nothing_fires_after_the_end(run: Run) -> None:
    run.nemesis.end()
    run.nemesis.inject(1, FAULT)
    run.nemesis.renew()
    assert run.fired() == []
    assert run.phases() == []
    assert not any(heal_timer.arm(90, "x")[:20] in script for _, script in run.fleet.scripts[3:])


def test_adopted_faults_are_concurrent_and_healed_at_the_end() -> None:
    run = Run(_probe_with_time(["whole"]))
    kill = Kill(name="kill", text="n1", nodes=("n1",))
    run.nemesis.adopt(
        FaultRecord(START, IN_FORCE, 100_001, kill.as_data(), {"before": _processes()})
    )
    run.nemesis.adopt(FaultRecord(START, IN_FORCE, 100_002, kill.as_data(), {}))
    run.nemesis.adopt(FaultRecord("stop", HEALED, 100_002, kill.as_data()))
    run.nemesis.inject(1, FAULT)
    around = run.records[-1].proof["during"]["around"]
    assert around["mute"] == ["n1"]
    run.records.clear()
    run.nemesis._probe = lambda names: dict.fromkeys(names, _processes()["processes"])
    run.nemesis._evidence = EvidenceCollector(run.nemesis._probe, run.nemesis._active, run.clock)
    run.nemesis.heal_by_hand()
    assert [record.number for record in run.records] == [100_001, 100_001]


def test_a_leader_is_looked_up_at_the_moment_of_the_injection() -> None:
    run = Run(lambda names: {name: _LEADER.get(name) for name in names})
    (stage,) = Partition.nemeses()["partition-leader"].draw(_request())
    run.nemesis.inject(1, stage.fault)
    fault = run.records[-1].fault
    assert fault["text"] == "n2 | n1 n3, leader n2"
    assert fault["settings"] == {"queue": "jepsenvm.q"}


def test_without_a_known_leader_its_fault_is_not_injected() -> None:
    run = Run(dict.fromkeys)
    (stage,) = Partition.nemeses()["partition-leader"].draw(_request())
    run.nemesis.inject(1, stage.fault)
    assert run.records[-1].error == "could not be injected: the queue's leader is unknown"
    assert run.fired() == []


def test_what_the_brokers_report_is_recorded_around_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probes, "broker_view", lambda _fleet, queue: {"leader": queue})
    run = Run(views=True)
    run.nemesis.inject(1, FAULT)
    run.nemesis.heal(1)
    run.nemesis._viewers.shutdown()
    views = [record for record in run.records if record.f == "view"]
    assert [view.phase for view in views] == ["before", "during", "after"]
    assert views[0].proof == {"broker": {"leader": "jepsenvm.q"}}


def test_a_record_says_whether_load_can_go_on_and_whether_nodes_are_isolated(run: Run) -> None:
    run.nemesis.inject(1, FAULT)
    assert not run.records[-1].stops_load
    everyone = FakeFault(name="fake", text="all", nodes=NODES)
    run.nemesis.inject(2, everyone)
    assert run.records[-1].stops_load
    assert not run.records[-1].isolates_nodes


def test_healing_everything_returns_what_each_node_removed() -> None:
    fleet = FakeFleet()
    fleet.outputs = {"n1": "removed a rule\n"}
    fleet.broken = {"n3"}
    answers = heal_everything(fleet)
    assert (answers["n1"], answers["n2"]) == (["removed a rule"], [])
    assert isinstance(answers["n3"], Exception)


_LEADER: Mapping[str, Any] = {
    "queue": {"leader": "n2", "members": list(NODES), "online": list(NODES)},
    "matrix": {node: {} for node in NODES},
}


def _request() -> FaultRequest:
    return FaultRequest(NODES, Random(1))


def _processes() -> dict[str, Any]:
    runtime = {"runtime": {"pid": 1, "state": "S", "started": 1}, "amqp": True, "sessions": []}
    return {"processes": dict.fromkeys(NODES, runtime)}


def _probe_with_time(values: list[str]) -> ScriptedProbe:
    """Return a scripted probe that takes a second each time, so that timeouts pass."""
    return ScriptedProbe(list(values), seconds=1.0)


def _probe_by_fault_count() -> Probe:
    """Return a probe that says "whole" first of each pair of calls, then "broken"."""
    calls: list[int] = []

    def probe(names: Any) -> Any:
        calls.append(1)
        value = "whole" if len(calls) % 2 else "broken"
        return dict.fromkeys(names, value)

    return probe


def test_a_late_healing_still_looks_at_its_fault_first() -> None:
    run = Run(_probe_with_time(["whole", "broken", "whole"]))
    run.nemesis.inject(1, FAULT)
    run.nemesis.heal(1, at=run.clock.time() - 60)
    heal = next(record for record in run.records if record.phase == HEAL)
    assert heal.proof["at-end"]["fake"] == "whole"
    assert heal.error == "it did not last: the probe says whole"


def test_a_node_that_cannot_be_healed_delays_no_other_node(run: Run) -> None:
    run.nemesis.inject(1, FAULT)
    run.fleet.broken.add("n1")
    run.nemesis.heal(1)
    assert ("n2", "1", "mend 1") in run.fired()


@pytest.mark.parametrize("act", ["renew", "inject", "heal"])
def test_a_node_that_hangs_delays_neither_another_fault_nor_the_end(
    run: Run, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    hung, release = threading.Event(), threading.Event()
    run.nemesis.inject(1, FakeFault(name="fake", text="n2", nodes=("n2",)))
    run.nemesis.inject(2, FakeFault(name="fake", text="n1", nodes=("n1",)))
    original_run, original_python = run.fleet.run, run.fleet.python

    def hanging_run(node: str, *arguments: Any, **options: Any) -> Any:
        if node == "n1" and not release.is_set():
            hung.set()
            release.wait(60)
        return original_run(node, *arguments, **options)

    def hanging_python(node: str, *arguments: Any, **options: Any) -> Any:
        if node == "n1" and not release.is_set():
            hung.set()
            release.wait(60)
        return original_python(node, *arguments, **options)

    monkeypatch.setattr(run.fleet, "run", hanging_run)
    monkeypatch.setattr(run.fleet, "python", hanging_python)
    monkeypatch.setattr(engine, "END_S", 0.1)
    other = FakeFault(name="fake", text="n1", nodes=("n1",))
    acts = {
        "renew": run.nemesis.renew,
        "inject": lambda: run.nemesis.inject(3, other),
        "heal": lambda: run.nemesis.heal(2),
    }
    stuck = threading.Thread(target=acts[act], daemon=True)
    stuck.start()
    assert hung.wait(30)
    run.nemesis.heal(1)
    assert ("n2", "1", "mend 1") in run.fired()
    ending = threading.Thread(target=run.nemesis.end, daemon=True)
    ending.start()
    script = heal_all.heal_and_disarm()
    for _ in range(600):
        if {"n2", "n3"} <= {node for node, given in run.fleet.scripts if given == script}:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the end did not heal the other nodes")
    release.set()
    ending.join(30)
    assert not ending.is_alive()
    assert ("n1", script) in run.fleet.scripts


def test_a_view_after_the_end_is_skipped() -> None:
    run = Run(views=True)
    run.nemesis.inject(1, FAULT)
    run.nemesis.end()
    run.nemesis._view("after", 1, FAULT)
    run.nemesis.heal(1)


def test_whatever_the_provider_raises_everything_is_healed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_node: str) -> None:
        raise ValueError("a bug")

    run.nemesis.inject(1, PowerFault(name="power", text="n2", nodes=("n2",)))
    monkeypatch.setattr(run.power, "_on", broken)
    run.nemesis._switch = PowerSwitch(run.fleet, run.power.power(), run.clock)
    assert len(run.nemesis.end()) == 1
    healed = [node for node, script in run.fleet.scripts if script == heal_all.heal_and_disarm()]
    assert sorted(healed) == list(NODES)


def test_a_malformed_answer_to_a_fault_is_recorded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.fleet, "python", lambda *_arguments, **_options: {"fired": None})
    run.nemesis.inject(1, FAULT)
    assert "n1: its answer was not understood" in str(run.errors()[IN_FORCE])


def test_one_probe_is_enough_for_somebody_who_does_not_want_to_wait() -> None:
    probe = _probe_with_time(["whole", "whole", "whole", "broken"])
    run = Run(probe)
    run.nemesis.hurry()
    run.nemesis.inject(1, FAULT)
    assert len(probe.calls) == 2


@pytest.mark.parametrize(
    ("fault", "members"),
    [
        # The only replica is the leader, so there is no follower to cut off.
        (Partition(name="partition-followers", nodes=NODES, role="followers"), ["n1"]),
        # None of the cluster's nodes has a replica.
        (FileCorrupt(name="file-corrupt", nodes=NODES, settings=DRAWN, role="replica"), ["n9"]),
        (ReplicaShrink(name="replica-shrink", nodes=NODES, role="replica"), ["n9"]),
    ],
)
def test_a_fault_that_affects_nothing_cannot_be_injected(fault: Fault, members: list[str]) -> None:
    def probe(names: Any) -> Mapping[str, Any]:
        queue = {"leader": "n1", "members": members, "online": members}
        return {name: queue if name == "queue" else {"n1": {}} for name in names}

    run = Run(probe)
    run.nemesis.inject(1, fault)
    assert "affects no node and no link" in str(run.errors()[IN_FORCE])
    assert not run.fired()
    run.nemesis.heal(1)
    run.fleet.close()
