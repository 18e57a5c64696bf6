"""Machine providers: finding machines, requiring that they run, and their power."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.machines import guarded_power, selection
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.lab import lab
from jepsenvm.machines.lab.provider import LabProvider
from jepsenvm.machines.plain.provider import PlainProvider
from jepsenvm.machines.power import power_at, power_of
from jepsenvm.machines.provider import MachineProvider
from jepsenvm.machines.providers import PROVIDERS, provider_of
from jepsenvm.machines.selection import machines_here, select_inventory
from jepsenvm.machines.vagrant import machines as vms
from jepsenvm.machines.vagrant.provider import VagrantProvider

HERE = Inventory(Path("/x/inventory/hosts.yml"), "cloud", (), Path("/x/.jepsenvm"), {})


class FakeProvider(MachineProvider):
    """Machines that exist, or that can be started."""

    name = "fake"
    title = "fake machines"
    start_command = "`fake up`"

    def __init__(self, found: Path | None = None, started: Path | None = None) -> None:
        self.found, self.started = found, started

    def find(self) -> Path | None:
        return self.found

    def bring_up(self) -> Path | None:
        return self.started

    def require_running(self, inventory: Inventory) -> None:
        if inventory.path.name == "off.yml":
            raise UsageError("a machine is off")


def test_an_inventory_names_its_provider() -> None:
    for provider in PROVIDERS:
        assert provider_of(replace(HERE, machines=provider.name)) is provider


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    expected = (
        r"^/x/inventory/hosts.yml: jepsenvm_machines is 'moon'; use one of cloud, lab, vagrant$"
    )
    with pytest.raises(UsageError, match=expected):
        provider_of(replace(HERE, machines="moon"))


def test_the_first_provider_with_machines_is_chosen(caplog: pytest.LogCaptureFixture) -> None:
    first, second = FakeProvider(), FakeProvider(Path("second.yml"))
    assert machines_here([first, second], bring_up=False) == Path("second.yml")
    assert caplog.messages == ["machines: fake machines (second.yml)"]


def test_machines_are_started_only_if_the_command_may_start_them() -> None:
    provider = FakeProvider(started=Path("new.yml"))
    assert machines_here([FakeProvider(), provider], bring_up=True) == Path("new.yml")
    expected = "there are no machines; run `fake up` or `fake up`, or name an inventory with -i"
    with pytest.raises(UsageError, match=expected):
        machines_here([FakeProvider(), provider], bring_up=False)


@pytest.mark.parametrize("may_be_off", [False, True])
def test_machines_that_are_off_are_refused_unless_they_may_be(
    may_be_off: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = replace(HERE, path=Path("/x/off.yml"))
    monkeypatch.setattr(selection, "load", lambda *_args, **_options: off)
    monkeypatch.setattr(selection, "provider_of", lambda _inventory: FakeProvider())
    if may_be_off:
        selected = select_inventory(off.path, "rabbitmq", may_be_off=True, patience=3.0)
        assert (selected.path, selected.patience) == (off.path, 3.0)
    else:
        with pytest.raises(UsageError, match="a machine is off"):
            select_inventory(off.path, "rabbitmq")


def test_plain_hosts_are_neither_found_nor_switched() -> None:
    provider = PlainProvider()
    provider.require_running(HERE)
    assert provider.find() is None
    assert provider.bring_up() is None
    assert power_of(HERE) is None
    with pytest.raises(UsageError, match="jepsenvm cannot switch machines of the kind cloud"):
        power_at("cloud", "/x")


@pytest.mark.parametrize("way", ["cut", "lose"])
def test_a_watchdog_is_there_before_a_host_is_off(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def start(*words: object) -> Any:
        done.append(f"watch {words}")
        return SimpleNamespace(kill=lambda: done.append("stop watching"), wait=lambda: None)

    monkeypatch.setattr(guarded_power, "_start_watchdog", start)
    power = guarded_power.guarded_power(
        "fake",
        "/x",
        cut=lambda node: done.append(f"cut {node}"),
        lose=lambda node: done.append(f"lose {node}"),
        on=lambda node: done.append(f"on {node}"),
        is_off=lambda _node: False,
    )
    getattr(power, way)("n1", 90.0)
    power.on("n1")
    assert done == ["watch ('fake', '/x', 'n1', 90.0)", f"{way} n1", "on n1", "stop watching"]


def test_only_vms_lose_their_page_cache_with_their_power() -> None:
    assert power_at("vagrant", "/x").own_kernels
    assert not power_at("lab", "").own_kernels


def test_the_lab_is_found_while_it_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "size", lambda: None)
    assert LabProvider().find() is None
    monkeypatch.setattr(lab, "size", lambda: (5, "bookworm"))
    assert LabProvider().find() == lab.inventory_path()


def test_a_lab_host_that_is_off_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "hosts_off", lambda _name: ["n2", "n5"])
    monkeypatch.setattr(lab, "size", lambda _name: (5, "bookworm"))
    with pytest.raises(UsageError, match="lab hosts are off: n2 n5; run `jepsenvm lab up`"):
        LabProvider().require_running(HERE)
    assert power_at("lab", "").is_off("n5")
    assert not power_at("lab", "").is_off("n1")


def test_a_lab_that_exists_is_completed_with_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(lab, "is_up", lambda: False)
    monkeypatch.setattr(lab, "size", lambda: (3, "trixie"))

    def up(*size: Any) -> Path:
        calls.append(size)
        return lab.inventory_path()

    monkeypatch.setattr(lab, "up", up)
    assert LabProvider().bring_up() == lab.inventory_path()
    assert calls == [(3, "trixie")]


def test_vms_without_their_inventory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert VagrantProvider().find() is None
    vm = tmp_path / ".vagrant/machines/n1/libvirt"
    vm.mkdir(parents=True)
    (vm / "id").write_text("1")
    monkeypatch.setattr(vms, "require_running", lambda _folder: None)
    with pytest.raises(UsageError, match="is missing; run `vagrant provision`"):
        VagrantProvider().find()
    vms.INVENTORY.parent.mkdir()
    vms.INVENTORY.touch()
    assert VagrantProvider().find() == vms.INVENTORY


def test_vms_are_switched_in_the_folder_of_their_vagrantfile() -> None:
    provider = VagrantProvider()
    assert provider.folder(HERE) == "/x"
    assert provider.folder(replace(HERE, vars={vms.FOLDER: "/elsewhere"})) == "/elsewhere"
