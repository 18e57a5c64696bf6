"""Which machines a command is about: those of -i, else the VMs of a .vagrant folder, else the lab."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from jepsenvm import lab
from jepsenvm.cluster.inventory import Inventory, load
from jepsenvm.errors import Refused

VAGRANT_INVENTORY = Path("inventory/vagrant.yml")


def inventory_for(
    path: Path | None, say: Callable[[str], None] = click.echo, *, bring_up: bool = False, existing: bool = False
) -> Inventory:
    """Return the inventory that a command works on, and say which was chosen when none was named.

    ``bring_up`` brings the lab up when it is chosen and down; otherwise Refused says how to. ``existing`` says that the
    cluster is not ours, as its inventory may say as well.
    """
    if path is not None:
        return load(path, existing=existing)
    if Path(".vagrant").is_dir() and VAGRANT_INVENTORY.exists():
        say(f"machines: the VMs of this folder's .vagrant ({VAGRANT_INVENTORY})")
        return load(VAGRANT_INVENTORY, existing=existing)
    if not lab.is_up() and (bring_up or not lab.status()):
        if not bring_up or existing:
            raise Refused("there are no machines", remedy="run `jepsenvm lab up`, or name an inventory with -i")
        say("machines: the lab, which is down: bringing it up")
        return load(lab.up(say=say))
    say(f"machines: the lab ({lab.inventory_path()})")
    return load(lab.inventory_path(), existing=existing)
