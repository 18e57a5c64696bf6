"""The inventory that a command's options select."""

from __future__ import annotations

from pathlib import Path

import click

from jepsenvm.cli.options import GROUP_OPTION
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
    """Return the inventory of -i, else of the machines that exist here.

    The option --group of the command that runs names the group of the nodes.
    """
    context = click.get_current_context(silent=True)
    return select_inventory(
        path,
        GROUP,
        chosen_group=context.meta.get(GROUP_OPTION) if context else None,
        bring_up=bring_up,
        may_be_off=may_be_off,
        existing=existing,
        patience=patience,
    )
