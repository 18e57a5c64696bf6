"""jepsenvm doctor: the mark of each finding, and the exit status."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.cli import doctor
from jepsenvm.errors import UsageError
from jepsenvm.experiment import doctor as checks
from jepsenvm.experiment.doctor import Finding, machine_findings
from jepsenvm.machines.lab import machine
from jepsenvm.machines.lab.provider import LabProvider
from jepsenvm.machines.vagrant import fitness, machines
from jepsenvm.machines.vagrant.provider import VagrantProvider
from tests.unit.cli.conftest import Inventories, Jepsenvm, assert_one_line, json_of
from tests.unit.fakes import FakeFleet
from tests.unit.rabbitmq.tls_server import certified, echo, on_loopback


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch, inventories: Inventories) -> dict[str, Any]:
    """The findings about this machine and about the hosts, and the number of their checks."""
    found: dict[str, Any] = {"machine": [], "hosts": [], "host checks": 0}

    def hosts(_inventory: object) -> Iterator[Finding]:
        found["host checks"] += 1
        yield from found["hosts"]

    monkeypatch.setattr(doctor, "machine_findings", lambda: iter(found["machine"]))
    monkeypatch.setattr(doctor, "host_findings", hosts)
    monkeypatch.setattr(doctor, "inventory_for", inventories)
    monkeypatch.setattr(doctor, "PROVIDERS", ())
    return found


def test_each_finding_has_a_mark(jepsenvm: Jepsenvm, findings: dict[str, Any]) -> None:
    findings["machine"] = [Finding("lab: programs"), Finding("lab: disk", "full", required=False)]
    result = jepsenvm("doctor")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["ok    lab: programs", "none  lab: disk: full"]
    assert findings["host checks"] == 0, "without machines there is nothing to check"


def test_a_requirement_that_is_not_met_fails(
    jepsenvm: Jepsenvm, findings: dict[str, Any], inventories: Inventories
) -> None:
    findings["hosts"] = [Finding("n1: iptables", "install iptables")]
    result = jepsenvm("doctor", "-i", "hosts.yml", "--existing")
    assert result.exit_code == 254
    assert result.stdout == "FAIL  n1: iptables: install iptables\n"
    assert inventories.calls == [(Path("hosts.yml"), {"existing": True, "may_be_off": True})]


def test_an_inventory_that_cannot_be_read_is_refused(
    jepsenvm: Jepsenvm, findings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UsageError("hosts.yml names no hosts")

    monkeypatch.setattr(doctor, "inventory_for", refuse)
    assert_one_line(jepsenvm("doctor", "-i", "hosts.yml"), 254, "hosts.yml names no hosts")


def test_the_lab_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise UsageError("no root", remedy="use sudo")

    monkeypatch.setattr(checks, "PROVIDERS", (LabProvider(),))
    for name in ("programs", "disk_space", "free_subnet"):
        monkeypatch.setattr(machine, f"require_{name}", lambda: None)
    monkeypatch.setattr(machine, "require_root", refuse)
    assert list(machine_findings()) == [
        Finding("lab: run as root", "no root; use sudo", required=False),
        Finding("lab: programs", None, required=False),
        Finding("lab: disk space", None, required=False),
        Finding("lab: free subnet", None, required=False),
    ]


@pytest.mark.parametrize("vms_exist", [True, False])
def test_a_folder_with_a_vagrantfile_is_checked_for_vms(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vms_exist: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checks, "PROVIDERS", (VagrantProvider(),))
    assert list(machine_findings()) == []
    Path("Vagrantfile").write_text("")
    for name in ("vagrant", "provider", "virtualisation", "box", "memory"):
        monkeypatch.setattr(fitness, f"require_{name}", lambda: None)
    monkeypatch.setattr(machines, "require_running", lambda _folder: None)
    monkeypatch.setattr(machines, "are_vms_here", lambda: vms_exist)
    last = Finding("VMs: all of them run") if vms_exist else Finding("VMs: memory", required=False)
    assert list(machine_findings()) == [
        Finding("VMs: Vagrant", required=False),
        Finding("VMs: provider", required=False),
        Finding("VMs: hardware virtualisation", required=False),
        Finding("VMs: box", required=False),
        last,
    ]


def test_without_vagrant_nothing_else_is_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse() -> None:
        raise UsageError("Vagrant is not installed")

    monkeypatch.chdir(tmp_path)
    Path("Vagrantfile").write_text("")
    monkeypatch.setattr(checks, "PROVIDERS", (VagrantProvider(),))
    monkeypatch.setattr(fitness, "require_vagrant", refuse)
    assert list(machine_findings()) == [
        Finding("VMs: Vagrant", "Vagrant is not installed", required=False)
    ]


def test_bad_usage_names_the_option(jepsenvm: Jepsenvm, findings: dict[str, Any]) -> None:
    assert_one_line(jepsenvm("doctor", "--inventory"), 254, "--inventory")


def test_help_names_the_options(jepsenvm: Jepsenvm) -> None:
    text = jepsenvm("doctor", "--help").stdout
    for word in ("--inventory", "--existing", "FAIL"):
        assert word in text


def test_certificates_are_checked_as_clients_do(tmp_path: Path) -> None:
    inventory = certified(tmp_path)
    fleet = FakeFleet("n1")
    subject = "n1: TLS with a certificate that verifies"
    with echo(inventory) as server:
        fleet.nodes["n1"] = on_loopback(amqp_port=server.port)
        assert list(checks._certificate_findings(fleet, inventory)) == [Finding(subject)]
        fleet.nodes["n1"] = on_loopback(amqp_port=server.port, amqp_server_name="n2")
        (finding,) = checks._certificate_findings(fleet, inventory)
    assert finding.fails
    assert "certificate is not accepted: Hostname mismatch" in str(finding.problem)
    assert "; run `jepsenvm deploy -i /hosts.yml`, which renews" in str(finding.problem)
    assert list(checks._certificate_findings(fleet, replace(inventory, broker_ca=None))) == []
    missing = replace(inventory, broker_ca=tmp_path / "none.pem")
    (finding,) = checks._certificate_findings(fleet, missing)
    assert finding.fails
    assert "none.pem: cannot be read: No such file or directory; run" in str(finding.problem)


def test_json(jepsenvm: Jepsenvm, findings: dict[str, Any]) -> None:
    findings["machine"] = [Finding("a"), Finding("b", "no b", required=False)]
    data = json_of(jepsenvm("doctor", "--json", "-i", "x"), "doctor")
    assert data["suitable"]
    assert data["findings"][1] == {"subject": "b", "problem": "no b", "required": False}
    findings["hosts"] = [Finding("c", "no c")]
    assert not json_of(jepsenvm("doctor", "--json", "-i", "x"), "doctor", 254)["suitable"]
