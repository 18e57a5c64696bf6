"""The provider for lab hosts. An inventory names its lab; without -i, it is the default lab."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from jepsenvm.errors import UsageError, shown
from jepsenvm.machines.guarded_power import Power, guarded_power
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.lab import lab, machine
from jepsenvm.machines.lab.inventory import LAB_VARIABLE
from jepsenvm.machines.lab.names import DEFAULT_NAME, NAME_RULE, is_name
from jepsenvm.machines.lab.topology import name_at, preferred
from jepsenvm.machines.provider import Check, MachineProvider

logger = logging.getLogger(__name__)


class LabProvider(MachineProvider):
    """Local systemd-nspawn hosts, started by `jepsenvm lab up`."""

    name = "lab"
    title = "the lab"
    start_command = "`jepsenvm lab up`"

    def find(self) -> Path | None:
        """Return the default lab's inventory if that lab is up; some of its hosts may be off."""
        return lab.inventory_path() if lab.size() else None

    def bring_up(self) -> Path:
        """Start the default lab's hosts that are off, or create it with the default size."""
        if lab.is_up():
            return lab.inventory_path()
        logger.info("machines: the lab, which is down: bringing it up")
        size = lab.size()
        return lab.up(*size) if size else lab.up()

    def require_running(self, inventory: Inventory) -> None:
        """Raise UsageError if a host of the inventory's lab is off."""
        name = _name(inventory)
        off = lab.hosts_off(name)
        if off:
            hosts = "lab hosts" if name == DEFAULT_NAME else f"hosts of lab {name}"
            raise UsageError(
                f"{hosts} are off: {' '.join(off)}", remedy=f"run `{lab.start_command(name)}`"
            )

    def folder(self, inventory: Inventory) -> str:
        """Return the folder of the inventory's lab. Copies of its inventory may be elsewhere."""
        return str(preferred(_name(inventory)).folder)

    def power_at(self, folder: str) -> Power:
        """Return the power switch of a lab's hosts, which `systemd-nspawn` processes run.

        A folder that is not that of a named lab stands for the default lab.
        """
        name = name_at(folder)
        return guarded_power(
            self.name,
            folder,
            cut=partial(lab.power_cut, name=name),
            lose=partial(lab.power_loss, name=name),
            on=partial(lab.power_on, name=name),
            is_off=partial(lab.is_off, name=name),
        )

    def checks(self) -> Iterator[Check]:
        """Yield the checks of whether this machine can run the lab."""
        yield Check("lab: run as root", machine.require_root)
        yield Check("lab: programs", machine.require_programs)
        yield Check("lab: disk space", machine.require_disk_space)
        yield Check("lab: free subnet", machine.require_free_subnet)


def _name(inventory: Inventory) -> str:
    name = inventory.vars.get(LAB_VARIABLE, DEFAULT_NAME)
    if not is_name(name):
        raise UsageError(f"{inventory.path}: {LAB_VARIABLE} is {shown(name)}", remedy=NAME_RULE)
    return str(name)
