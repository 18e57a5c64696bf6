"""Labs: local Linux hosts made with systemd-nspawn in network namespaces."""

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
from jepsenvm.machines.lab.names import DEFAULT_NAME
from jepsenvm.machines.lab.overview import LabStatus, labs
from jepsenvm.machines.lab.registry import lab_names
from jepsenvm.machines.lab.topology import title

__all__ = [
    "DEFAULT_NAME",
    "HostStatus",
    "LabStatus",
    "down",
    "inventory_path",
    "is_up",
    "lab_names",
    "labs",
    "power_cut",
    "power_loss",
    "power_on",
    "ssh_argv",
    "status",
    "title",
    "up",
]
