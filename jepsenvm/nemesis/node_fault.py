"""The base class of faults in which every node of the fault acts, independently of the others."""

from __future__ import annotations

from collections.abc import Sequence

from jepsenvm.machines.action import Action
from jepsenvm.nemesis.fault import Fault, Hosts


class NodeFault(Fault):
    """Act on each node of the fault, and on no other node."""

    def inject(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Return the actions of a node of the fault; none for any other node."""
        return self.inject_node(fault_id, node, hosts) if node in self.nodes else []

    def heal(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Return the actions of a node of the fault; none for any other node."""
        return self.heal_node(fault_id, node, hosts) if node in self.nodes else []

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Return the actions that inject the fault on one of its nodes."""
        raise NotImplementedError

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Return the actions that heal one of its nodes; none if the fault ends by itself."""
        return ()
