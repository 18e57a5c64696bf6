"""Selects the inventory that a command works on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jepsenvm.errors import UsageError
from jepsenvm.machines.inventory import Inventory, load
from jepsenvm.machines.provider import MachineProvider
from jepsenvm.machines.providers import PROVIDERS, provider_of

logger = logging.getLogger(__name__)


def select_inventory(
    path: Path | None,
    default_group: str,
    *,
    chosen_group: str | None = None,
    bring_up: bool = False,
    may_be_off: bool = False,
    existing: bool = False,
    patience: float | None = None,
) -> Inventory:
    """Return the inventory at ``path``, or without a path the machines that a provider finds here.

    ``chosen_group`` and ``default_group`` name the inventory group with the cluster's nodes, as for
    ``inventory.load``. ``bring_up`` starts machines if there are none. Machines that are off are
    refused unless they ``may_be_off``. ``existing`` marks a cluster that jepsenvm did not deploy.
    ``patience`` overrides ``jepsenvm_patience``.
    """
    if path is None:
        path = machines_here(PROVIDERS, bring_up=bring_up and not existing)
    inventory = load(path, default_group, chosen_group=chosen_group, existing=existing)
    provider = provider_of(inventory)
    if not may_be_off:
        provider.require_running(inventory)
    return inventory if patience is None else replace(inventory, patience=patience)


def machines_here(providers: Sequence[MachineProvider], *, bring_up: bool) -> Path:
    """Return the inventory of the first provider that has machines here, and log the choice.

    With ``bring_up`` the providers start machines that are off, or create some if there are none.
    Raises UsageError if there are no machines.
    """
    for provider in providers:
        inventory = provider.find()
        if inventory is not None:
            if bring_up:
                inventory = provider.bring_up() or inventory
            logger.info(f"machines: {provider.title} ({inventory})")
            return inventory
    if bring_up:
        for provider in providers:
            inventory = provider.bring_up()
            if inventory is not None:
                return inventory
    commands = [provider.start_command for provider in providers if provider.start_command]
    raise UsageError(
        "there are no machines",
        remedy=f"run {' or '.join(commands)}, or name an inventory with -i",
    )
