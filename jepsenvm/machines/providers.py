"""The registry of machine providers."""

from __future__ import annotations

from typing import Final

from jepsenvm.errors import UsageError, shown
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.lab.provider import LabProvider
from jepsenvm.machines.plain.provider import PlainProvider
from jepsenvm.machines.provider import MachineProvider
from jepsenvm.machines.vagrant.provider import VagrantProvider

PROVIDERS: Final[tuple[MachineProvider, ...]] = (VagrantProvider(), LabProvider(), PlainProvider())
"""All providers, in the order in which a command without -i tries them."""


def provider_named(name: str) -> MachineProvider | None:
    """Return the provider with that name; None without one."""
    return next((provider for provider in PROVIDERS if provider.name == name), None)


def provider_of(inventory: Inventory) -> MachineProvider:
    """Return the provider of an inventory's machines; raise UsageError for an unknown one."""
    provider = provider_named(inventory.machines)
    if provider is None:
        names = ", ".join(sorted(provider.name for provider in PROVIDERS))
        raise UsageError(
            f"{inventory.path}: jepsenvm_machines is {shown(inventory.machines)}",
            remedy=f"use one of {names}",
        )
    return provider
