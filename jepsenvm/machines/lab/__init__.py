"""The lab: local Linux hosts made with systemd-nspawn in network namespaces."""

from jepsenvm.machines.lab.lab import (
    HostStatus,
    down,
    inventory_path,
    is_up,
    power_cut,
    power_loss,
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
    "power_loss",
    "power_on",
    "ssh_argv",
    "status",
    "up",
]
