"""The power switch of an inventory's hosts."""

from __future__ import annotations

from jepsenvm.errors import UsageError
from jepsenvm.machines.guarded_power import Power
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.providers import provider_named, provider_of

__all__ = ["Power", "power_at", "power_of"]


def power_of(inventory: Inventory) -> Power | None:
    """Return the power switch of these hosts, or None if their provider has none."""
    return provider_of(inventory).power(inventory)


def power_at(provider: str, folder: str) -> Power:
    """Return the power switch of a provider's hosts in a folder; raise UsageError without one."""
    named = provider_named(provider)
    power = named.power_at(folder) if named else None
    if power is None:
        raise UsageError(
            f"jepsenvm cannot switch machines of the kind {provider}",
            remedy="switch them by hand",
        )
    return power
