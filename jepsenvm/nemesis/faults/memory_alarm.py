"""Memory alarm: a lowered watermark makes a node believe that its memory is used up, so that publishers are blocked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import alarm
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import Hosts, Kind
from jepsenvm.nemesis.undo import Undo

_RESTORE: Final = Undo(
    "memory-watermark",
    """timeout 30 rabbitmqctl --quiet eval '{ok, Limit} = application:get_env(rabbit, vm_memory_high_watermark), \
vm_memory_monitor:set_vm_memory_high_watermark(Limit).' >/dev/null""",
    "put the memory watermark back",
)
"""Back to what the node's configuration says."""


def inject(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Lower the watermark to next to nothing."""
    if node not in fault.nodes:
        return []
    return [
        shell(
            "timeout 30 rabbitmqctl --quiet set_vm_memory_high_watermark 0.00001",
            ahead=_RESTORE.mark(),
        )
    ]


KIND = Kind(
    inject,
    _RESTORE.heal,
    alarm.looks,
    alarm.doubts("memory"),
    alarm.leftovers("memory"),
    sweep=_RESTORE.sweep,
    settles_s=20.0,
    heals_s=30.0,
    stops_load=True,
)
