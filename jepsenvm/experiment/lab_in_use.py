"""Whether a process uses the hosts of a lab."""

from __future__ import annotations

from typing import Final

from jepsenvm.errors import JepsenvmError
from jepsenvm.machines.cluster_lock import held_locks
from jepsenvm.machines.inventory import load
from jepsenvm.machines.lab import lab
from jepsenvm.machines.lab.names import DEFAULT_NAME
from jepsenvm.machines.lab.topology import preferred
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq.names import GROUP

CONNECT_S: Final = 3.0
"""Seconds for each step of a login. The lab is on this machine."""


def require_unused_lab(name: str = DEFAULT_NAME) -> None:
    """Raise UsageError if a process uses a host of a lab.

    A lab that is incomplete, and a host that does not answer, are not in use.
    """
    if lab.size(name) is None:
        return
    try:
        inventory = load(lab.inventory_path(name), GROUP)
    except JepsenvmError:
        return  # `jepsenvm lab down` removes a lab in any state
    down = preferred(name).command("down")
    with Fleet(inventory.nodes, CONNECT_S, patience=inventory.patience) as fleet:
        for lock in held_locks(fleet):
            raise lock.error(f"`{down} --force` removes the lab under it")
