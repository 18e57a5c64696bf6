"""Whether a process uses the hosts of the lab."""

from __future__ import annotations

from typing import Final

from jepsenvm.errors import JepsenvmError
from jepsenvm.machines.cluster_lock import held_locks
from jepsenvm.machines.inventory import load
from jepsenvm.machines.lab import lab
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq.names import GROUP

CONNECT_S: Final = 3.0
"""Seconds for each step of a login. The lab is on this machine."""


def require_unused_lab() -> None:
    """Raise UsageError if a process uses a host of the lab.

    A lab that is incomplete, and a host that does not answer, are not in use.
    """
    if lab.size() is None:
        return
    try:
        inventory = load(lab.inventory_path(), GROUP)
    except JepsenvmError:
        return  # `jepsenvm lab down` removes a lab in any state
    with Fleet(inventory.nodes, CONNECT_S, patience=inventory.patience) as fleet:
        for lock in held_locks(fleet):
            raise lock.error("`jepsenvm lab down --force` removes the lab under it")
