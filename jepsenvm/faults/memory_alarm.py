"""Memory alarm: a lowered watermark makes a node believe that its memory is used up, so that publishers are blocked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jepsenvm.faults import alarm
from jepsenvm.faults.kind import STATE, Action, Hosts, Kind, shell
from jepsenvm.plan.fault import Fault

_MOVED: Final = f"{STATE}/memory-watermark"

_RESTORE: Final = f"""timeout 30 rabbitmqctl --quiet eval \
'{{ok, Limit}} = application:get_env(rabbit, vm_memory_high_watermark), \
vm_memory_monitor:set_vm_memory_high_watermark(Limit).' >/dev/null
rm -f {_MOVED}"""


def inject(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Lower the watermark to next to nothing."""
    if node not in fault.nodes:
        return []
    ahead = f"mkdir -p {STATE}\n: > {_MOVED}"
    return [shell("timeout 30 rabbitmqctl --quiet set_vm_memory_high_watermark 0.00001", ahead=ahead)]


def heal(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Put the watermark back to what the node's configuration says."""
    return [shell(f"if [ -e {_MOVED} ]; then\n{_RESTORE}\nfi")] if node in fault.nodes else []


SWEEP: Final = f"""if [ -e {_MOVED} ]; then
{_RESTORE}
echo "put the memory watermark back"
fi"""

KIND = Kind(
    inject,
    heal,
    alarm.looks,
    alarm.doubts("memory"),
    alarm.leftovers("memory"),
    sweep=SWEEP,
    settles_s=20.0,
    heals_s=30.0,
    stops_load=True,
)
