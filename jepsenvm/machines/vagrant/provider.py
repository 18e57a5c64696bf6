"""The provider for Vagrant's virtual machines."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from jepsenvm.errors import JepsenvmError, UsageError
from jepsenvm.machines.guarded_power import Power, guarded_power
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.provider import Check, MachineProvider
from jepsenvm.machines.vagrant import fitness, machines


class VagrantProvider(MachineProvider):
    """Virtual machines that `vagrant up` creates from the Vagrantfile in the current folder."""

    name = "vagrant"
    title = "the VMs of this folder's .vagrant"
    start_command = "`vagrant up`"

    def find(self) -> Path | None:
        """Return the inventory that the Vagrantfile wrote, or None if Vagrant has no VM here."""
        if not machines.are_vms_here():
            return None
        if not machines.INVENTORY.exists():
            machines.require_running(Path.cwd())
            raise UsageError(
                f"{machines.INVENTORY} is missing",
                remedy="run `vagrant provision`, which writes it",
            )
        return machines.INVENTORY

    def require_running(self, inventory: Inventory) -> None:
        """Raise UsageError unless all VMs of the Vagrantfile run."""
        machines.require_running(Path(self.folder(inventory)))

    def folder(self, inventory: Inventory) -> str:
        """Return the folder of the Vagrantfile: the parent of the inventory's own by default."""
        # An inventory in the root folder has no folder above its own.
        above = inventory.path.parent.parent
        return str(inventory.vars.get(machines.FOLDER, above))

    def power_at(self, folder: str) -> Power:
        """Return the power switch of a Vagrantfile's VMs, which `vagrant` operates."""
        return guarded_power(
            self.name,
            folder,
            cut=partial(machines.cut, Path(folder)),
            lose=partial(machines.cut, Path(folder)),
            on=partial(machines.on, Path(folder)),
            is_off=partial(machines.is_off, Path(folder)),
            own_kernels=True,
        )

    def checks(self) -> Iterator[Check]:
        """Yield the checks of whether this machine can run VMs, in a folder with a Vagrantfile."""
        if not Path("Vagrantfile").exists():
            return
        yield Check("VMs: Vagrant", fitness.require_vagrant)
        try:
            fitness.require_vagrant()
        except JepsenvmError:
            return  # the other checks need Vagrant
        yield Check("VMs: provider", fitness.require_provider)
        yield Check("VMs: hardware virtualisation", fitness.require_virtualisation)
        yield Check("VMs: box", fitness.require_box)
        if self.exists():
            here = Path.cwd()
            yield Check(
                "VMs: all of them run", partial(machines.require_running, here), required=True
            )
        else:
            yield Check("VMs: memory", fitness.require_memory)

    def exists(self) -> bool:
        """Return whether Vagrant has created VMs here."""
        return machines.are_vms_here()
