"""jepsenvm remove: what it prints, and that it does not remove a cluster under a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jepsenvm.cli import remove
from jepsenvm.machines import ansible
from jepsenvm.machines.ansible_progress import Counts, Recap
from jepsenvm.nemesis.manual import announced
from tests.unit.cli.conftest import Inventories, Jepsenvm, assert_one_line


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, inventories: Inventories) -> list[str]:
    """The names of the playbooks that were played."""
    plays: list[str] = []

    def play(playbook: str, *_: Any) -> Recap:
        plays.append(playbook)
        return Recap({"n1": Counts(5, 3), "n2": Counts(5, 0)})

    monkeypatch.setattr(ansible, "play", play)
    monkeypatch.setattr(remove, "inventory_for", inventories)
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
    jepsenvm: Jepsenvm, played: list[str], inventories: Inventories, tmp_path: Path
) -> None:
    with announced(inventories.inventory, tmp_path):
        result = jepsenvm("remove")
    assert_one_line(result, 254, f"a run is in progress on these machines: {tmp_path}", "wait")
    assert played == []


def test_bad_usage_names_the_option(jepsenvm: Jepsenvm, played: list[str]) -> None:
    assert_one_line(jepsenvm("remove", "--patience", "soon"), 254, "--patience")


def test_help_names_the_options(jepsenvm: Jepsenvm) -> None:
    text = jepsenvm("remove", "--help").stdout
    for word in ("--inventory", "--patience", "--log", "--vault-password-file"):
        assert word in text
