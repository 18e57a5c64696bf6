"""jepsenvm remove: what it prints, and that it does not remove a cluster under a run."""

from __future__ import annotations

from typing import Any

import pytest

from jepsenvm.cli import remove
from jepsenvm.experiment import deploy as deployment
from jepsenvm.machines import ansible
from jepsenvm.machines.ansible_progress import Counts, Recap
from tests.unit.cli.conftest import Inventories, Jepsenvm, NoFleet, assert_one_line, json_of
from tests.unit.fakes import LockedHosts, elsewhere


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, inventories: Inventories) -> list[str]:
    """The names of the playbooks that were played."""
    plays: list[str] = []

    def play(playbook: str, *_: Any) -> Recap:
        plays.append(playbook)
        return Recap({"n1": Counts(5, 3), "n2": Counts(5, 0)})

    monkeypatch.setattr(ansible, "play", play)
    monkeypatch.setattr(remove, "inventory_for", inventories)
    monkeypatch.setattr(deployment, "Fleet", NoFleet)
    return plays


def test_a_removal_prints_what_changed(jepsenvm: Jepsenvm, played: list[str]) -> None:
    result = jepsenvm("remove")
    assert result.exit_code == 0
    assert played == ["remove.yml"]
    assert result.stdout.splitlines() == [
        "n1: 5 ok, 3 changed",
        "n2: 5 ok, 0 changed",
        "removed: RabbitMQ and what came with it from 2 nodes, changed=3",
    ]


def test_a_removal_during_a_run_is_refused(
    jepsenvm: Jepsenvm, played: list[str], locks: LockedHosts
) -> None:
    locks.occupy(elsewhere(run="queue/20261125T140311.000000Z"), "n2")
    result = jepsenvm("remove")
    assert_one_line(
        result,
        254,
        "n2: in use by `jepsenvm run` queue/20261125T140311.000000Z (alice@laptop, process",
        "wait until it ends",
    )
    assert played == []
    assert locks.held() == {"n2": "run"}


def test_bad_usage_names_the_option(jepsenvm: Jepsenvm, played: list[str]) -> None:
    assert_one_line(jepsenvm("remove", "--patience", "soon"), 254, "--patience")


def test_help_names_the_options(jepsenvm: Jepsenvm) -> None:
    text = jepsenvm("remove", "--help").stdout
    for word in ("--inventory", "--patience", "--log", "--vault-password-file"):
        assert word in text


def test_json(jepsenvm: Jepsenvm, played: list[str]) -> None:
    data = json_of(jepsenvm("remove", "--json"), "remove")
    assert (data["nodes"]["n1"], data["changed"]) == ({"ok": 5, "changed": 3}, 3)
    assert data["version"] is None
