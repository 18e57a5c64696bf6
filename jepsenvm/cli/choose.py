"""The inventory that a command's options select."""

from __future__ import annotations

from pathlib import Path

from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.selection import select_inventory
from jepsenvm.rabbitmq.names import GROUP


def inventory_for(
    path: Path | None,
    *,
    bring_up: bool = False,
    may_be_off: bool = False,
    existing: bool = False,
    patience: float | None = None,
) -> Inventory:
    """Return the inventory of -i, else of the machines that exist here."""
    return select_inventory(
        path,
        GROUP,
        bring_up=bring_up,
        may_be_off=may_be_off,
        existing=existing,
        patience=patience,
    )
