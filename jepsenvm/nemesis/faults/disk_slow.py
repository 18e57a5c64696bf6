"""Disk-slow: the cgroup of RabbitMQ's service limits the rate of its writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Hosts
from jepsenvm.nemesis.marker import Marker
from jepsenvm.nemesis.node_fault import NodeFault
from jepsenvm.nemesis.request import NemesisSpec
from jepsenvm.rabbitmq.names import DATA_DIR, SERVICE

_LIMITED: Final = Marker(
    name="disk-slow",
    undo=f"systemctl set-property --runtime {SERVICE} IOWriteBandwidthMax=",
    report=f"removed the limit of {SERVICE}'s disk writes",
)


class DiskSlow(NodeFault):
    """Limit RabbitMQ's writes to `write-kbyte-s`."""

    kind = "disk-slow"
    stops_load = "never"
    sweep = _LIMITED.sweep

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that slows the disk."""
        return {
            "disk-slow": NemesisSpec(
                about="limits the rate of RabbitMQ's disk writes",
                draw=cls.on_victims,
                takes="nodes",
                settings={"write-kbyte-s": 200},
            )
        }

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Limit the service's writes to the disk that holds its data."""
        limit = f"IOWriteBandwidthMax='{DATA_DIR} {float(self.settings['write-kbyte-s']):.0f}K'"
        command = f"systemctl set-property --runtime {SERVICE} {limit}"
        return [shell(command, ahead=_LIMITED.set())]

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Remove the limit."""
        return _LIMITED.heal()

    def probes(self) -> tuple[str, ...]:
        """Return the probe that times a synced write."""
        return ("writes",)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which a synced write takes less than twice its earlier time."""
        for node in self.nodes:
            earlier_s, now_s = before["writes"].get(node), during["writes"].get(node)
            if earlier_s is None or now_s is None:
                yield f"the disk of {node} could not be measured"
            elif now_s < 2 * earlier_s:
                yield (
                    f"a synced write on {node} takes {now_s:.2f} s,"
                    f" and took {earlier_s:.2f} s before the fault"
                )

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which a synced write is still slow."""
        for node in self.nodes:
            earlier_s, now_s = before["writes"].get(node), after["writes"].get(node)
            if earlier_s is None or now_s is None:
                yield f"the disk of {node} could not be measured"
            elif now_s > 2 * earlier_s + 0.2:
                yield f"a synced write on {node} still takes {now_s:.2f} s"

    def requirements(self) -> tuple[str, ...]:
        """Return cgroups that limit disk writes."""
        return ("io-limits",)
