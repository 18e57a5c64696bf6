"""The provider for a plain inventory."""

from __future__ import annotations

from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.provider import MachineProvider


class PlainProvider(MachineProvider):
    """Hosts that jepsenvm can neither find, start nor switch; the user names their inventory."""

    name = "cloud"
    title = "the hosts of an inventory"

    def require_running(self, inventory: Inventory) -> None:
        """Do nothing: only an SSH connection can show whether such a host runs."""
