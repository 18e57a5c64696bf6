"""Local Linux hosts for when there are no VMs: systemd-nspawn in network namespaces, five by default."""

from jepsenvm.machines.lab.lab import (
    HostStatus,
    down,
    inventory_path,
    is_up,
    power_cut,
    power_on,
    ssh_argv,
    status,
    up,
)

__all__ = [
    "HostStatus",
    "down",
    "inventory_path",
    "is_up",
    "power_cut",
    "power_on",
    "ssh_argv",
    "status",
    "up",
]
