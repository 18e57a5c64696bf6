"""jepsenvm heal: the script, what it prints about each node, and what it could not heal."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from jepsenvm.cli import heal
from jepsenvm.errors import UnreachableError
from jepsenvm.experiment import heal as healing
from jepsenvm.machines.power import Power
from tests.unit.cli.conftest import Inventories, Jepsenvm, NoFleet, assert_one_line


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
        cut=lambda _node, _seconds: None, on=switched.append, is_off=lambda node: node == "n2"
    )
    monkeypatch.setattr(healing, "power_of", lambda _inventory: power)
    assert jepsenvm("heal").stdout.splitlines()[0] == "n2: switched on"
    assert switched == ["n2"]


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
