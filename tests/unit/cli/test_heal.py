"""jepsenvm heal: the script, what it prints about each node, and what it could not heal."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.cli import heal
from jepsenvm.errors import UnreachableError
from jepsenvm.experiment import heal as healing
from jepsenvm.machines.lock_owner import LockOwner
from jepsenvm.machines.power import Power
from tests.unit.cli.conftest import Inventories, Jepsenvm, NoFleet, assert_one_line, json_of
from tests.unit.fakes import LockedHosts, elsewhere


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, inventories: Inventories) -> dict[str, Any]:
    """The answer of each node to the healing."""
    found: dict[str, Any] = {"n1": ["removed from iptables: -j DROP"], "n2": []}
    monkeypatch.setattr(heal, "inventory_for", inventories)
    monkeypatch.setattr(healing, "heal_everything", lambda _fleet: found)
    monkeypatch.setattr(healing, "Fleet", NoFleet)
    monkeypatch.setattr(healing, "power_of", lambda _inventory: None)
    return found


def test_the_script_is_a_shell_script_and_needs_no_machines(
    jepsenvm: Jepsenvm, inventories: Inventories
) -> None:
    result = jepsenvm("heal", "--script")
    assert result.exit_code == 0
    assert inventories.calls == []
    for word in ("iptables", "tc ", "jepsenvm-"):
        assert word in result.stdout
    subprocess.run(["sh", "-n"], input=result.stdout, text=True, check=True)


def test_each_node_reports_what_was_removed(
    jepsenvm: Jepsenvm, answers: dict[str, Any], inventories: Inventories
) -> None:
    result = jepsenvm("heal", "--existing")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "n1: removed from iptables: -j DROP",
        "n2: nothing to heal",
    ]
    ((_, options),) = inventories.calls
    assert options == {"existing": True, "patience": None, "may_be_off": True}


def test_a_host_that_is_off_is_switched_on(
    jepsenvm: Jepsenvm, answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    switched: list[str] = []
    power = Power(
        cut=lambda _node, _seconds: None,
        lose=lambda _node, _seconds: None,
        on=switched.append,
        is_off=lambda node: node == "n2",
    )
    monkeypatch.setattr(healing, "power_of", lambda _inventory: power)
    assert jepsenvm("heal").stdout.splitlines()[0] == "n2: switched on"
    assert switched == ["n2"]


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of ``heal_noted``."""
    calls: list[str] = []
    monkeypatch.setattr(healing, "heal_noted", lambda *_: calls.append("noted"))
    monkeypatch.setattr(healing, "in_force", lambda _fleet: {"n1": [{"number": 3}], "n2": []})
    return calls


def test_the_faults_of_another_run_are_healed_only_by_force(
    jepsenvm: Jepsenvm, answers: dict[str, Any], locks: LockedHosts, noted: list[str]
) -> None:
    locks.occupy(elsewhere(), "n1")
    text = "`jepsenvm heal --force` heals its faults too, and its verdict is then unknown"
    result = jepsenvm("heal")
    assert_one_line(result, 254, "n1: in use by `jepsenvm run`", "alice@laptop", text)
    assert result.stdout == ""
    forced = jepsenvm("heal", "--force")
    assert forced.exit_code == 0
    assert "n1: removed from iptables" in forced.stdout
    assert locks.held() == {"n1": "run"}
    assert noted == []


def test_beside_a_run_of_this_machine_only_faults_by_hand_are_healed(
    jepsenvm: Jepsenvm,
    answers: dict[str, Any],
    locks: LockedHosts,
    noted: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    locks.occupy(LockOwner.of_this_process("run", tmp_path), "n1", "n2")
    result = jepsenvm("heal")
    assert_one_line(result, 254, f"a run is in progress, and heals its own faults: {tmp_path}")
    monkeypatch.setattr(
        healing, "in_force", lambda _fleet: {"n1": [{"number": 3}], "n2": [{"number": 100_001}]}
    )
    result = jepsenvm("heal")
    assert result.exit_code == 0
    assert "healed the faults by hand" in result.stdout
    assert "removed" not in result.stdout
    assert noted == ["noted"]
    assert "removed" in jepsenvm("heal", "--force").stdout
    assert noted == ["noted", "noted"]


def test_a_controller_that_died_here_does_not_keep_its_cluster(
    jepsenvm: Jepsenvm, answers: dict[str, Any], locks: LockedHosts, tmp_path: Path
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    owner = replace(LockOwner.of_this_process("run", tmp_path), pid=ended.pid)
    locks.occupy(owner, "n1", "n2")
    assert jepsenvm("heal").exit_code == 0
    assert locks.held() == {}


def test_a_node_that_cannot_be_healed_is_named(jepsenvm: Jepsenvm, answers: dict[str, Any]) -> None:
    answers["n2"] = UnreachableError("no SSH", node="n2")
    result = jepsenvm("heal")
    assert_one_line(result, 255, "not healed: n2: no SSH", "run `jepsenvm heal` again")
    assert "n1: removed" in result.stdout


def test_bad_usage_names_the_option(jepsenvm: Jepsenvm) -> None:
    assert_one_line(jepsenvm("heal", "--scripts=x"), 254, "--script")


def test_help_names_the_options(jepsenvm: Jepsenvm) -> None:
    text = jepsenvm("heal", "--help").stdout
    for word in ("--inventory", "--existing", "--script"):
        assert word in text


def test_json(jepsenvm: Jepsenvm, answers: dict[str, Any]) -> None:
    result = jepsenvm("heal", "--json")
    removed = {"n1": ["removed from iptables: -j DROP"], "n2": []}
    assert json_of(result, "heal") == {"nodes": removed, "run": None}
    assert "n2: nothing to heal" in result.stderr
    assert_one_line(jepsenvm("heal", "--json", "--script"), 254, "--script prints a shell script")
    answers["n1"] = UnreachableError("silent", node="n1")
    failed = jepsenvm("heal", "--json")
    assert (failed.exit_code, failed.stdout) == (255, "")
