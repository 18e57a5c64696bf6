"""The provider for lab hosts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from jepsenvm.errors import UsageError
from jepsenvm.machines.guarded_power import Power, guarded_power
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.lab import lab, machine
from jepsenvm.machines.provider import Check, MachineProvider

logger = logging.getLogger(__name__)


class LabProvider(MachineProvider):
    """Local systemd-nspawn hosts, started by `jepsenvm lab up`."""

    name = "lab"
    title = "the lab"
    start_command = "`jepsenvm lab up`"

    def find(self) -> Path | None:
        """Return the lab's inventory if the lab is up; some of its hosts may be off."""
        return lab.inventory_path() if lab.size() else None

    def bring_up(self) -> Path:
        """Start the lab's hosts that are off, or create a lab of the default size."""
        if lab.is_up():
            return lab.inventory_path()
        logger.info("machines: the lab, which is down: bringing it up")
        size = lab.size()
        return lab.up(*size) if size else lab.up()

    def require_running(self, inventory: Inventory) -> None:  # noqa: ARG002 - there is one lab
        """Raise UsageError if a host of the lab is off."""
        off = lab.hosts_off()
        if off:
            raise UsageError(
                f"lab hosts are off: {' '.join(off)}", remedy=f"run {self.start_command}"
            )

    def power_at(self, folder: str) -> Power:
        """Return the power switch of the lab's hosts, which `systemd-nspawn` processes run."""
        return guarded_power(
            self.name,
            folder,
            cut=lab.power_cut,
            lose=lab.power_loss,
            on=lab.power_on,
            is_off=lab.is_off,
        )

    def checks(self) -> Iterator[Check]:
        """Yield the checks of whether this machine can run the lab."""
        yield Check("lab: run as root", machine.require_root)
        yield Check("lab: programs", machine.require_programs)
        yield Check("lab: disk space", machine.require_disk_space)
        yield Check("lab: free subnet", machine.require_free_subnet)
