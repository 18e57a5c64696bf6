"""jepsenvm deploy: which playbooks it plays with which variables, and what it prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.cli import deploy
from jepsenvm.errors import UsageError
from jepsenvm.experiment import deploy as deployment
from jepsenvm.machines import ansible
from jepsenvm.machines.ansible_progress import Counts, Recap
from jepsenvm.machines.inventory import Inventory
from tests.unit.cli.conftest import Inventories, Jepsenvm, NoFleet, assert_one_line, json_of
from tests.unit.fakes import LockedHosts, elsewhere
from tests.unit.rabbitmq.tls_server import certified, cluster

RECAP = Recap({"n1": Counts(9, 2), "n2": Counts(8, 0)}, {"rabbitmq_version": "3.10.8"})


@pytest.fixture
def played(
    monkeypatch: pytest.MonkeyPatch, inventories: Inventories
) -> list[tuple[str, Mapping[str, object], Path | None]]:
    """The playbooks that were played, with their variables and log files."""
    plays: list[tuple[str, Mapping[str, object], Path | None]] = []

    def play(playbook: str, _on: Inventory, extra: Mapping[str, object], log: Path | None) -> Recap:
        plays.append((playbook, extra, log))
        return RECAP

    monkeypatch.setattr(ansible, "play", play)
    monkeypatch.setattr(deploy, "inventory_for", inventories)
    monkeypatch.setattr(deployment, "Fleet", NoFleet)
    return plays


def test_a_deployment_prints_what_changed(jepsenvm: Jepsenvm, played: list[Any]) -> None:
    result = jepsenvm("deploy")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "n1: 9 ok, 2 changed",
        "n2: 8 ok, 0 changed",
        "deployed: RabbitMQ 3.10.8 on 2 nodes, changed=2",
    ]
    assert played == [("site.yml", {}, None)]


@pytest.mark.parametrize("words", [[], ["--reset"]])
def test_a_deployment_is_refused_while_another_process_uses_a_host(
    jepsenvm: Jepsenvm, played: list[Any], locks: LockedHosts, words: list[str]
) -> None:
    locks.occupy(elsewhere("deploy"), "n1")
    result = jepsenvm("deploy", *words)
    assert_one_line(result, 254, "n1: in use by `jepsenvm deploy` (alice@laptop, process")
    assert played == []


def test_a_deployment_holds_the_lock_and_releases_it(
    jepsenvm: Jepsenvm, played: list[Any], locks: LockedHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[dict[str, str]] = []

    def play(*_: object) -> Recap:
        held.append(locks.held())
        return RECAP

    monkeypatch.setattr(ansible, "play", play)
    # Ansible says which host does not answer, and why.
    locks.silent.add("n2")
    assert jepsenvm("deploy").exit_code == 0
    assert held == [{"n1": "deploy"}]
    assert locks.held() == {}


def test_settings_that_are_given_go_to_ansible(
    jepsenvm: Jepsenvm,
    played: list[Any],
    inventories: Inventories,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["-i", "hosts.yml", "--patience", "2", "--net-ticktime", "8", "--adopt", "--reset"]
    log = tmp_path / "ansible.log"
    assert jepsenvm("deploy", *words, "--file", "r.tar.xz", "--log", log).exit_code == 0
    variables = {
        "rabbitmq_net_ticktime": 8,
        "jepsenvm_adopt": True,
        "rabbitmq_file": str(tmp_path / "r.tar.xz"),
        "jepsenvm_resetting": True,
    }
    assert played == [("reset.yml", variables, log), ("site.yml", variables, log)]
    assert inventories.calls == [(Path("hosts.yml"), {"patience": 2.0})]


def test_a_url_stays_as_it_is(jepsenvm: Jepsenvm, played: list[Any]) -> None:
    jepsenvm("deploy", "--file", "https://example.org/r.deb", "--sha256", "0f")
    ((_, variables, _),) = played
    assert variables == {
        "rabbitmq_file": "https://example.org/r.deb",
        "rabbitmq_sha256": "0f",
    }


def test_a_deployment_that_is_refused(
    jepsenvm: Jepsenvm, played: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Recap:
        raise UsageError("no sudo", node="n1", remedy="let the user sudo")

    monkeypatch.setattr(ansible, "play", refuse)
    assert_one_line(jepsenvm("deploy"), 254, "n1: no sudo; let the user sudo")


@pytest.mark.parametrize(
    "words",
    [
        ["--source", "somewhere"],
        ["--net-ticktime", "0"],
        ["--mirror-count", "x"],
        ["--patience", "0"],
        ["--partition-handling", "pray"],
        ["--vault-password-file", "/no/such/file"],
    ],
)
def test_bad_usage_names_the_option(
    jepsenvm: Jepsenvm, played: list[Any], words: list[str]
) -> None:
    assert_one_line(jepsenvm("deploy", *words), 254, words[0], "see `jepsenvm deploy --help`")
    assert played == []


def test_help_names_the_options(jepsenvm: Jepsenvm) -> None:
    text = jepsenvm("deploy", "--help").stdout
    for word in ("--inventory", "--source", "--version", "--file", "--sha256", "--adopt", "--log"):
        assert word in text


@pytest.mark.parametrize("reset", [False, True])
def test_certificates_are_made_before_a_playbook_is_played(
    played: list[Any],
    locks: LockedHosts,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    reset: bool,
) -> None:
    inventory = cluster(tmp_path)
    plays = []

    def play(playbook: str, *_: object) -> Recap:
        plays.append((playbook, (inventory.secrets_dir / "tls/nodes/n1.pem").exists()))
        return RECAP

    monkeypatch.setattr(ansible, "play", play)
    deployment.deploy(inventory, {}, reset=reset)
    assert plays == [*([("reset.yml", True)] if reset else []), ("site.yml", True)]
    assert caplog.messages == ["certificates made for n1"]


def test_an_authority_that_is_damaged_stops_the_deployment(
    played: list[Any], locks: LockedHosts, tmp_path: Path
) -> None:
    inventory = certified(tmp_path)
    (inventory.secrets_dir / "tls/ca.pem").write_text("none")
    with pytest.raises(UsageError, match=r"ca\.pem and ca\.key are not a certificate and its key"):
        deployment.deploy(inventory, {})
    assert played == []


def test_without_tls_nothing_is_made(played: list[Any], locks: LockedHosts, tmp_path: Path) -> None:
    inventory = replace(cluster(tmp_path), broker_ca=None)
    deployment.deploy(inventory, {})
    assert not inventory.secrets_dir.exists()


def test_json(jepsenvm: Jepsenvm, played: list[Any]) -> None:
    data = json_of(jepsenvm("deploy", "--json"), "deploy")
    assert data["nodes"] == {"n1": {"ok": 9, "changed": 2}, "n2": {"ok": 8, "changed": 0}}
    assert (data["changed"], data["version"]) == (2, "3.10.8")
