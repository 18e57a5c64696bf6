"""Faults that hosts cannot have are refused before anything is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment import preflight
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.power import Power
from tests.unit.fakes import FakeFleet, FakePower
from tests.unit.nemesis.builders import fault_of

HERE = Inventory(Path("/x/hosts.yml"), "cloud", (), Path("/x/.jepsenvm"), {})
SWITCH = FakePower().power()
OF_VMS = replace(SWITCH, own_kernels=True)


def require(monkeypatch: pytest.MonkeyPatch, power: Power | None, *, own: bool) -> None:
    of_hosts = {"n1": {"data-file-system": own}}
    monkeypatch.setattr(preflight, "power_of", lambda _inventory: power)
    monkeypatch.setattr(preflight, "host_capabilities", lambda _fleet: of_hosts)
    preflight.require_capabilities(FakeFleet("n1"), HERE, [fault_of("power-loss")])


@pytest.mark.parametrize(("power", "own"), [(SWITCH, True), (OF_VMS, False), (OF_VMS, True)])
def test_a_power_loss_is_possible(power: Power, own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    require(monkeypatch, power, own=own)


@pytest.mark.parametrize("power", [SWITCH, None])
def test_hosts_without_a_switch_lose_their_service(
    power: Power | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "power_of", lambda _inventory: power)
    suited = preflight.suited(HERE, fault_of("power-loss"))
    assert suited.kind == ("power-loss" if power else "service-loss")


@pytest.mark.parametrize(
    ("power", "own", "need"), [(SWITCH, False, "data-file-system"), (None, True, "power")]
)
def test_a_power_loss_that_would_lose_nothing_is_refused(
    power: Power | None, own: bool, need: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = f"^n1: power-loss is not possible here: no {need}; "
    with pytest.raises(UsageError, match=expected) as refused:
        require(monkeypatch, power, own=own)
    assert "\n" not in str(refused.value)


def test_a_corruption_needs_a_database_where_its_program_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    able = {"n1": {"queue-files": True}}
    monkeypatch.setattr(preflight, "power_of", lambda _inventory: None)
    monkeypatch.setattr(preflight, "host_capabilities", lambda _fleet: able)
    preflight.require_capabilities(FakeFleet("n1"), HERE, [fault_of("file-corrupt")])
    able["n1"]["queue-files"] = False
    with pytest.raises(
        UsageError, match=r"^n1: file-corrupt is not possible here: no queue-files; "
    ):
        preflight.require_capabilities(FakeFleet("n1"), HERE, [fault_of("file-corrupt")])
