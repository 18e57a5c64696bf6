"""What is made of Vagrant's words, and patience."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.machines.inventory import load
from jepsenvm.machines.power import power_of
from jepsenvm.machines.vagrant.fitness import is_emulated, merged
from jepsenvm.machines.vagrant.machines import parsed, trouble
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.names import GROUP

STATUS = """1700000000,n1,metadata,provider,libvirt
1700000000,n1,provider-name,libvirt
1700000000,n1,state,running
1700000000,n2,state,shutoff
1700000000,,ui,info,Current machine states:\\n\\nn1 running
"""

INVENTORY = """
all:
  hosts: {n1: {ansible_host: 192.0.2.1}}
  vars: {jepsenvm_machines: vagrant, jepsenvm_patience: %s}
"""


def test_states_are_read() -> None:
    assert parsed(STATUS) == {"n1": "running", "n2": "shutoff"}


def test_running_vms_are_no_trouble() -> None:
    assert trouble({"n1": "running", "n2": "running"}) is None


@pytest.mark.parametrize(
    ("states", "problem", "remedy"),
    [
        ({"n1": "not_created", "n2": "not_created"}, "no VM has been created", "`vagrant up`"),
        ({"n1": "running", "n2": "shutoff"}, "n2 is shutoff", "`vagrant up n2`"),
        (
            {"n1": "poweroff", "n2": "saved", "n3": "running"},
            "n1 is poweroff, n2 is saved",
            "`vagrant up n1 n2`",
        ),
        (
            {"n1": "running", "n2": "not_created"},
            "n2 is not created, and n1 is there",
            "vagrant provision",
        ),
        (
            {"n1": "running", "n2": "not_created", "n3": "not_created"},
            "n2 n3 are not created",
            "vagrant destroy",
        ),
    ],
)
def test_trouble_names_the_vms_and_the_way_out(
    states: dict[str, str], problem: str, remedy: str
) -> None:
    told = trouble(states)
    assert told is not None
    assert problem in told[0]
    assert remedy in told[1]


def test_settings_override_each_other() -> None:
    files = ["box: a\nnodes: 5\n", "nodes: 4\n"]
    assert merged(files, {"JEPSENVM_BOX": "b", "JEPSENVM_OTHER": "x", "PATH": "p"}) == {
        "box": "b",
        "nodes": 4,
    }


def test_emulation_is_told_by_the_processor_unless_chosen() -> None:
    assert is_emulated({}, "flags\t\t: fpu sse\n")
    assert not is_emulated({}, "flags\t\t: fpu vmx sse\n")
    assert not is_emulated({"libvirt_driver": "kvm"}, "flags\t\t: fpu\n")


def test_patience_comes_from_the_inventory(tmp_path: Path) -> None:
    path = tmp_path / "inventory" / "vms.yml"
    path.parent.mkdir()
    path.write_text(INVENTORY % "2.5")
    inventory = load(path, GROUP)
    assert inventory.patience == 2.5
    assert power_of(inventory) is not None
    assert power_of(replace(inventory, machines="cloud")) is None


@pytest.mark.parametrize("value", ["0", "-1", "soon", ".inf"])
def test_bad_patience_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "vms.yml"
    path.write_text(INVENTORY % value)
    with pytest.raises(UsageError, match="jepsenvm_patience"):
        load(path, GROUP)


def test_a_patient_plan_has_longer_deadlines_and_the_same_faults() -> None:
    plan = Plan()
    patient = plan.patient(5)
    assert (patient.op_timeout, patient.drain_deadline) == (
        5 * plan.op_timeout,
        5 * plan.drain_deadline,
    )
    assert (patient.fault_duration, patient.time_limit) == (plan.fault_duration, plan.time_limit)
