"""jepsenvm fault: which fault is injected and for how long, with a fake nemesis and fake hosts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jepsenvm.cli import fault
from jepsenvm.errors import UnreachableError, UsageError
from jepsenvm.experiment import manual_fault, preflight
from jepsenvm.experiment.fault_texts import parse_texts
from jepsenvm.experiment.manual_fault import (
    draw_fault,
    duration_option,
    newest_queue,
    parse_settings,
)
from jepsenvm.machines.lock_owner import LockOwner
from jepsenvm.machines.reachability import Matrix
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.rabbitmq.topology_listing import Listing
from tests.unit.cli.conftest import Inventories, Jepsenvm, NoFleet, assert_one_line, json_of
from tests.unit.fakes import LockedHosts, elsewhere


class Nemesis:
    """Records what it is asked to do."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        self.acts: list[str] = []
        self.fault: Fault | None = None

    def prepare(self) -> None:
        self.acts.append("prepare")

    def inject(self, _number: int, to_inject: Fault) -> None:
        self.acts.append("inject")
        self.fault = to_inject

    def heal(self, _number: int) -> None:
        self.acts.append("heal")

    def end(self) -> list[str]:
        self.acts.append("end")
        return []


@pytest.fixture
def nemeses(monkeypatch: pytest.MonkeyPatch, inventories: Inventories) -> list[Nemesis]:
    """Every nemesis that was created."""
    created: list[Nemesis] = []

    def create(**fields: Any) -> Nemesis:
        created.append(Nemesis(**fields))
        return created[-1]

    monkeypatch.setattr(fault, "inventory_for", inventories)
    monkeypatch.setattr(manual_fault, "Nemesis", create)
    monkeypatch.setattr(preflight, "connect", lambda _fleet: {})
    monkeypatch.setattr(preflight, "require_capabilities", lambda *_: None)
    monkeypatch.setattr(manual_fault, "in_force", lambda _fleet: {"n1": [], "n2": []})
    monkeypatch.setattr(manual_fault, "Fleet", NoFleet)
    replace_sleep(monkeypatch, lambda _seconds: None)
    return created


def replace_sleep(monkeypatch: pytest.MonkeyPatch, sleep: Callable[[float], None]) -> None:
    clock = SimpleNamespace(
        sleep=sleep, strftime=time.strftime, time_ns=time.time_ns, monotonic=time.monotonic
    )
    monkeypatch.setattr(manual_fault, "time", clock)


def test_list_shows_every_fault_with_its_settings(jepsenvm: Jepsenvm) -> None:
    result = jepsenvm("fault", "list")
    assert result.exit_code == 0
    words = result.stdout.split()
    for name, spec in NEMESES.items():
        assert (name in words) is (spec is not None)
    assert "rate-kbit" in result.stdout


def test_a_fault_stays_in_force_without_a_duration(
    jepsenvm: Jepsenvm, nemeses: list[Nemesis]
) -> None:
    result = jepsenvm("fault", "start", "partition", "n1", "n2")
    assert result.exit_code == 0
    assert result.stdout == "in force until `jepsenvm heal`, for 60 minutes at most\n"
    (nemesis,) = nemeses
    assert nemesis.acts == ["prepare", "inject"]
    assert nemesis.fields["longest_fault"] == 3600
    assert nemesis.fault is not None
    assert nemesis.fault.grudge == {"n1": {"n2"}, "n2": {"n1"}}


def test_a_fault_with_a_duration_is_healed(jepsenvm: Jepsenvm, nemeses: list[Nemesis]) -> None:
    assert jepsenvm("fault", "start", "kill", "n2", "--for", "1m30s").exit_code == 0
    (nemesis,) = nemeses
    assert nemesis.acts == ["prepare", "inject", "heal", "end"]
    assert nemesis.fields["longest_fault"] == 90
    assert nemesis.fault is not None
    assert nemesis.fault.nodes == ("n2",)


def test_an_interrupt_heals_the_fault(
    jepsenvm: Jepsenvm, nemeses: list[Nemesis], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    replace_sleep(monkeypatch, interrupt)
    result = jepsenvm("fault", "start", "pause", "n1", "--for", "60s")
    assert result.exit_code == 0
    assert "interrupted: healing" in result.stdout
    assert nemeses[0].acts == ["prepare", "inject", "heal", "end"]


def test_timers_stay_armed_while_another_fault_is_in_force(
    jepsenvm: Jepsenvm, nemeses: list[Nemesis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manual_fault, "in_force", lambda _fleet: {"n1": [{}], "n2": []})
    jepsenvm("fault", "start", "pause", "n1", "--for", "1s")
    assert nemeses[0].acts[-1] == "heal"


def test_a_run_in_progress_records_the_fault(
    jepsenvm: Jepsenvm, nemeses: list[Nemesis], locks: LockedHosts, tmp_path: Path
) -> None:
    locks.occupy(LockOwner.of_this_process("run", tmp_path), "n1", "n2")
    result = jepsenvm("fault", "start", "pause", "n1", "--for", "1s")
    assert f"a run is in progress, and its history records this fault: {tmp_path}" in result.stdout
    assert nemeses[0].acts[-1] == "heal", "the timers belong to the run"


@pytest.mark.parametrize("owner", [elsewhere(), elsewhere("deploy"), elsewhere("heal")])
def test_a_fault_that_no_history_could_record_is_refused(
    jepsenvm: Jepsenvm, nemeses: list[Nemesis], locks: LockedHosts, owner: LockOwner
) -> None:
    locks.occupy(owner, "n2")
    assert_one_line(jepsenvm("fault", "start", "pause", "n1"), 254, "n2: in use by `jepsenvm")
    assert nemeses == []


def test_the_lock_is_held_while_a_fault_is_injected_and_not_afterwards(
    jepsenvm: Jepsenvm,
    nemeses: list[Nemesis],
    locks: LockedHosts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[dict[str, str]] = []
    monkeypatch.setattr(Nemesis, "inject", lambda *_: held.append(locks.held()))
    replace_sleep(monkeypatch, lambda _seconds: held.append(locks.held()))
    assert jepsenvm("fault", "start", "pause", "n1", "--for", "1s").exit_code == 0
    assert held == [{"n1": "fault start", "n2": "fault start"}, {}]


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        ([], ["NAME"]),
        (["earthquake"], ["earthquake"]),
        (["loss", "n9"], ["unknown nodes n9"]),
        (["loss", "n1", "--percent", "150"], ["percent must be more than 0 and at most 100"]),
        (["loss", "--percent", "many"], ["--percent"]),
        (["loss", "--set", "loss-percent=many"], ["--set loss-percent=many", "KEY=NUMBER"]),
        (["kill", "n1", "--for", "soon"], ["--for soon: must be seconds"]),
        (["kill", "n1", "--for", "0s"], ["--for 0s: must be from 1 ms to a year"]),
        (["rolling-restart"], ["rolling-restart has several stages", "one by one"]),
    ],
)
def test_bad_usage_names_the_option(
    jepsenvm: Jepsenvm, nemeses: list[Nemesis], words: list[str], texts: list[str]
) -> None:
    assert_one_line(jepsenvm("fault", "start", *words), 254, *texts)
    assert nemeses == []


def test_a_fault_that_the_inventory_does_not_allow_is_refused(
    jepsenvm: Jepsenvm, nemeses: list[Nemesis], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise UsageError("allowed_faults does not allow kill")

    monkeypatch.setattr(preflight, "require_allowed", refuse)
    assert_one_line(jepsenvm("fault", "start", "kill", "n1"), 254, "does not allow kill")
    assert nemeses == []


def test_status_shows_faults_and_reachability(
    jepsenvm: Jepsenvm, nemeses: list[Nemesis], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"number": 100001, "since": 0, "fault": {"name": "loss", "text": "n1, 10 %"}}
    faults = {"n1": [entry], "n2": [], "n3": UnreachableError("no SSH", node="n3")}
    matrix: Mapping[str, Any] = {"matrix": {"n1": {"n2": False}, "n2": {"n1": True}}}
    monkeypatch.setattr(manual_fault, "in_force", lambda _fleet: faults)
    monkeypatch.setattr(manual_fault, "probe", lambda *_: matrix)
    result = jepsenvm("fault", "status")
    assert result.exit_code == 0
    assert "100001 loss" in result.stdout
    assert "n1, 10 %" in result.stdout
    assert "no answer: n3: no SSH" in result.stdout
    assert result.stdout.count("CUT") == 1


def test_settings_have_short_and_full_names() -> None:
    shortcuts = {"ms": None, "jitter": None, "percent": 30.0}
    (percent,) = parse_settings("loss", shortcuts, [])
    assert percent.endswith("percent")
    assert parse_settings("loss", {}, [f"{percent}=30"]) == {percent: 30}
    assert parse_settings("delay", {"ms": 5.0, "jitter": 1.0}, []) == {
        "delay-ms": 5,
        "jitter-ms": 1,
    }


def test_durations_are_finite() -> None:
    assert duration_option("1m30s") == 90
    with pytest.raises(UsageError, match="--for inf"):
        duration_option("inf")


def test_the_newest_queue_is_chosen_by_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        "jepsenvm.stream.20250101T100000.000001Z",
        "jepsenvm.classic.20250102T100000.000001Z",
        "theirs.20260101T100000.000001Z",
    ]
    listed = Listing(frozenset(names), frozenset(), frozenset())
    monkeypatch.setattr(manual_fault, "listing", lambda *_: listed)
    fleet: Any = type("Fleet", (), {"nodes": {"n1": None}})
    assert newest_queue(fleet) == names[1]
    listed = Listing(frozenset(), frozenset(), frozenset())
    with pytest.raises(UsageError, match="start a run, or name nodes"):
        newest_queue(fleet)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("list", []),
        ("start", ["NAME", "TARGETS", "--for", "--percent", "--set"]),
        ("status", ["--inventory"]),
    ],
)
def test_help_names_the_arguments(jepsenvm: Jepsenvm, command: str, words: list[str]) -> None:
    assert command in jepsenvm("fault", "--help").stdout
    result = jepsenvm("fault", command, "--help")
    assert result.exit_code == 0
    for word in words:
        assert word in result.stdout


def test_a_setting_may_be_a_text() -> None:
    words = ["to=3.10.9"]
    assert parse_settings("upgrade", {}, words) == {}
    assert parse_texts("upgrade", words) == {"to": "3.10.9"}
    fault = draw_fault("upgrade", ["n2"], {}, ["n1", "n2"], parse_texts("upgrade", words))
    assert fault.describe() == "upgrade {n2 to 3.10.9}"
    assert parse_texts("feature-flag", ["flag=khepri_db"]) == {"flag": "khepri_db"}
    assert parse_texts("loss", ["percent=30"]) == {}


@pytest.mark.parametrize(
    ("name", "word", "says"),
    [
        ("upgrade", "to=latest", "--set to=latest: must be a version with three numbers"),
        ("feature-flag", "flag=A b", "--set flag=A b: String should match pattern"),
    ],
)
def test_a_text_that_a_plan_would_refuse_is_refused(name: str, word: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_texts(name, [word])


def test_several_nodes_are_upgraded_by_a_schedule_only() -> None:
    with pytest.raises(UsageError, match="several stages"):
        draw_fault("upgrade", [], {}, ["n1", "n2"], {"to": "3.10.9"})


def test_json_of_a_fault(jepsenvm: Jepsenvm, nemeses: list[Nemesis]) -> None:
    data = json_of(jepsenvm("fault", "start", "pause", "n2", "--json"), "fault start")
    assert data["fault"] == "pause {n2}"
    assert (data["problems"], data["healed"]) == ([], False)
    kinds = json_of(jepsenvm("fault", "list", "--json"), "fault list")
    assert {kind["name"] for kind in kinds} == {name for name, spec in NEMESES.items() if spec}


def test_json_of_the_status(
    jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch, inventories: Inventories
) -> None:
    entry = {"number": 1, "since": 5, "fault": {"name": "kill", "text": "n1"}}
    reached: Matrix = {"n1": {"n2": True}, "n2": {"n1": None}}
    status = manual_fault.FaultStatus({"n1": [entry], "n2": UnreachableError("no")}, reached)
    monkeypatch.setattr(fault, "inventory_for", inventories)
    monkeypatch.setattr(fault, "fault_status", lambda _: status)
    data = json_of(jepsenvm("fault", "status", "--json"), "fault status")
    (shown,) = data["faults"]["n1"]
    assert shown == {"number": 1, "name": "kill", "targets": "n1", "since": 5}
    assert data["faults"]["n2"] is None
    assert data["reachable"] == reached
