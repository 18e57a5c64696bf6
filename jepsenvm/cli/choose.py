"""Which machines a command is about: those of -i, else the VMs of a .vagrant folder, else the lab."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from jepsenvm.errors import UsageError
from jepsenvm.machines import lab
from jepsenvm.machines.inventory import Inventory, load
from jepsenvm.machines.vagrant import machines

logger = logging.getLogger(__name__)


def inventory_for(
    path: Path | None,
    *,
    bring_up: bool = False,
    may_be_off: bool = False,
    existing: bool = False,
    patience: float | None = None,
) -> Inventory:
    """Return the inventory that a command works on, and say which was chosen when none was named.

    ``bring_up`` brings the lab up when it is chosen and down; otherwise Refused says how to. VMs that do not run are
    refused, unless they ``may_be_off``. ``existing`` says that the cluster is not ours, and ``patience`` how slow it
    is; its inventory may say so as well.
    """
    file = path if path is not None else _found(bring_up=bring_up and not existing)
    inventory = load(file, existing=existing)
    if inventory.machines == "vagrant" and not may_be_off:
        machines.require_running(
            Path(inventory.vars.get(machines.FOLDER, inventory.path.parents[1]))
        )
    return inventory if patience is None else replace(inventory, patience=patience)


def are_vms_here() -> bool:
    """Return whether Vagrant has made VMs in this folder, or begun to."""
    return any(Path(".vagrant/machines").glob("*/*/id"))


def _found(*, bring_up: bool) -> Path:
    if are_vms_here():
        logger.info(f"machines: the VMs of this folder's .vagrant ({machines.INVENTORY})")
        if not machines.INVENTORY.exists():
            machines.require_running(Path.cwd())
            raise UsageError(
                f"{machines.INVENTORY} is missing",
                remedy="run `vagrant provision`, which writes it",
            )
        return machines.INVENTORY
    if not lab.is_up() and (bring_up or not lab.status()):
        if not bring_up:
            raise UsageError(
                "there are no machines",
                remedy="run `vagrant up` or `jepsenvm lab up`, or name an inventory with -i",
            )
        logger.info("machines: the lab, which is down: bringing it up")
        return lab.up()
    logger.info(f"machines: the lab ({lab.inventory_path()})")
    return lab.inventory_path()
