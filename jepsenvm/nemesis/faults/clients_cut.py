"""Clients-cut: nodes drop or reject the packets of AMQP clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Final

from jepsenvm.machines.action import Action
from jepsenvm.nemesis import iptables
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import UNMEASURED, Evidence, Hosts
from jepsenvm.nemesis.node_fault import NodeFault
from jepsenvm.nemesis.request import NemesisSpec

_TARGETS: Final[Mapping[str, str]] = {"drop": "DROP", "reject": "REJECT --reject-with tcp-reset"}
"""The iptables target for each way to cut clients off."""

_PORT_STATES: Final[Mapping[str, str]] = {"drop": "silent", "reject": "refused"}
"""The state of the AMQP port, as the controller sees it, for each way to cut clients off."""


class ClientsCut(NodeFault):
    """Drop or reject every packet to the AMQP port. Only clients use that port."""

    kind = "clients"
    stops_load = "on-all-nodes"

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemeses that drop and reject the packets of clients."""
        return {
            "clients-drop": NemesisSpec(
                about="drops packets from clients to the given nodes, or to a random minority",
                draw=partial(cls.on_clients, way="drop"),
                takes="nodes",
                mixes=("mixed",),
            ),
            "clients-reject": NemesisSpec(
                about="rejects clients of the given nodes, or of a random minority, by a TCP reset",
                draw=partial(cls.on_clients, way="reject"),
                takes="nodes",
            ),
        }

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Drop or reject packets to the AMQP port."""
        versions = sorted({ip_address(address).version for address in hosts[node].addresses})
        rule = f"-p tcp --dport {hosts[node].amqp_port} -j {_TARGETS[self._way]}"
        return iptables.put(fault_id, [rule], versions)

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Remove the fault's chain."""
        return [iptables.remove(fault_id)]

    def probes(self) -> tuple[str, ...]:
        """Return the probe that connects to the AMQP ports."""
        return ("clients",)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which the AMQP port does not show the cut, or did not work before."""
        for node in self.nodes:
            if node in concurrent.off:
                continue
            state_before = before["clients"].get(node) or UNMEASURED
            state = during["clients"].get(node) or UNMEASURED
            if state_before != "open":
                yield f"the AMQP port of {node} was {state_before} before the fault"
            elif state != _PORT_STATES[self._way]:
                yield f"the AMQP port of {node} is {state} to clients"

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which the AMQP port still shows the cut, or was not measured.

        A broker that is down refuses connections. So a refused connection shows that packets are no
        longer dropped. It shows nothing about rejected packets, unless another fault explains it.
        """
        for node in self.nodes:
            state = after["clients"].get(node) or UNMEASURED
            healed = state == "open" or (
                state == "refused" and (self._way == "drop" or node in concurrent.mute)
            )
            if not healed and node not in concurrent.off:
                yield f"the AMQP port of {node} is still {state}"

    def requirements(self) -> tuple[str, ...]:
        """Return iptables for both versions of IP."""
        return ("iptables", "ip6tables")

    @property
    def _way(self) -> str:
        return str(self.settings["way"])
