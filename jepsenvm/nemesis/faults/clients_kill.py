"""Clients-kill: nodes kill their established AMQP connections once. New connections work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import process_evidence
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Hosts
from jepsenvm.nemesis.node_fault import NodeFault
from jepsenvm.nemesis.request import NemesisSpec


class ClientsKill(NodeFault):
    """Kill the established AMQP connections of clients."""

    kind = "clients-kill"
    stops_load = "never"
    lasting = False

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that kills connections."""
        return {
            "clients-kill": NemesisSpec(
                about="kills the connections of clients to the given nodes, or to a random"
                " minority; new connections work",
                draw=partial(cls.on_clients, way="kill"),
                takes="nodes",
            )
        }

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Kill every established connection to the AMQP port."""
        return [shell(f"ss --kill state established '( sport = :{hosts[node].amqp_port} )'")]

    def probes(self) -> tuple[str, ...]:
        """Return the probe of the process table, which lists the connections as well."""
        return process_evidence.PROBES

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that had no connection, or still has one from before the fault."""
        yield from process_evidence.probe_failures(self.nodes, during)
        for node in self.nodes:
            earlier = process_evidence.sessions(before, node)
            alive = earlier & process_evidence.sessions(during, node)
            if not earlier:
                yield f"{node} had no AMQP connection before the fault"
            elif alive:
                yield f"{len(alive)} of {len(earlier)} AMQP connections of {node} are still alive"

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield nothing: killed connections leave nothing to heal."""
        return iter(())

    def requirements(self) -> tuple[str, ...]:
        """Return a kernel that kills connections on request."""
        return ("socket-kill",)
