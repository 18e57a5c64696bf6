"""Every kind of fault by name; a node that heals everything does it in this order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jepsenvm.nemesis.faults import (
    clients,
    clock,
    disk_full,
    disk_slow,
    flapping,
    kill,
    leave,
    loss,
    memory_alarm,
    packets,
    partition,
    pause,
    power_cut,
    replicas,
    restart,
    stop_app,
)
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import Kind

KINDS: Final[Mapping[str, Kind]] = {
    "flapping": flapping.KIND,  # before those whose chains it would make again
    "partition": partition.KIND,
    "loss": loss.KIND,
    "packets": packets.KIND,
    "clients": clients.CUT,
    "clients-kill": clients.KILL,
    "kill": kill.KIND,
    "pause": pause.KIND,
    "stop-app": stop_app.KIND,
    "restart": restart.KIND,
    "power-cut": power_cut.KIND,
    "clock": clock.KIND,
    "disk-full": disk_full.KIND,
    "disk-slow": disk_slow.KIND,
    "memory-alarm": memory_alarm.KIND,
    "leave": leave.KIND,
    "replica-shrink": replicas.SHRINK,
    "leader-transfer": replicas.TRANSFER,
}


def kind_of(fault: Fault) -> Kind:
    """Return the kind of a fault."""
    return KINDS[fault.kind]
