"""Slow disk: RabbitMQ's writes are held to a rate by its service's cgroup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Hosts, Kind
from jepsenvm.nemesis.undo import Undo
from jepsenvm.rabbitmq.names import SERVICE

_RELEASE: Final = Undo(
    "disk-slow",
    f"systemctl set-property --runtime {SERVICE} IOWriteBandwidthMax=",
    "lifted the limit of the disk",
)


def inject(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Limit the service's writes to the disk that holds its database."""
    if node not in fault.nodes:
        return []
    limit = f"IOWriteBandwidthMax='/var/lib/rabbitmq {float(fault.settings['write-kbyte-s']):.0f}K'"
    return [shell(f"systemctl set-property --runtime {SERVICE} {limit}", ahead=_RELEASE.mark())]


def doubts(fault: Fault, before: Evidence, during: Evidence, _: ConcurrentFaults) -> Iterator[str]:
    """Yield the nodes on which a synced write was not slowed."""
    for node in fault.nodes:
        earlier, now = before["writes"].get(node), during["writes"].get(node)
        if earlier is None or now is None:
            yield f"{node}'s disk could not be measured"
        elif now < 2 * earlier:
            yield f"{node} writes in {now:.2f} s what took {earlier:.2f} s before"


def leftovers(
    fault: Fault, before: Evidence, after: Evidence, _: ConcurrentFaults
) -> Iterator[str]:
    """Yield the nodes on which a synced write is still slow."""
    for node in fault.nodes:
        earlier, now = before["writes"].get(node), after["writes"].get(node)
        if earlier is None or now is None or now > 2 * earlier + 0.2:
            yield f"{node}'s disk is still slow"


KIND = Kind(
    inject,
    _RELEASE.heal,
    lambda _: ("writes",),
    doubts,
    leftovers,
    sweep=_RELEASE.sweep,
    needs=lambda _: ("io-limits",),
)
