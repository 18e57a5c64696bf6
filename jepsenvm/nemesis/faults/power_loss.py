"""Power loss: a power cut after which the host has lost what RabbitMQ had not synced.

Two sentinel files beside RabbitMQ's data are the proof. After healing, the synced file must be
there, and the unsynced file must be gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jepsenvm.machines.action import Action
from jepsenvm.nemesis import host_evidence, sentinel_evidence
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Fault, Hosts
from jepsenvm.nemesis.faults.service_loss import ServiceLoss
from jepsenvm.nemesis.node_fault import NodeFault
from jepsenvm.nemesis.request import NemesisSpec
from jepsenvm.rabbitmq.names import DATA_DIR


class PowerLoss(NodeFault):
    """Cut the power of hosts, and let them lose the writes that were not synced."""

    kind = "power-loss"
    stops_load = "on-all-nodes"
    stops_replicas = True
    endangers_s = sentinel_evidence.ENDANGERS_S
    on_each_node = True
    powers_off = True
    loses_unsynced = True
    heals_s = 120.0
    sweep = f"rm -f {DATA_DIR}/jepsenvm-synced {DATA_DIR}/jepsenvm-unsynced"

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that cuts the power and loses unsynced writes."""
        return {
            "power-loss": NemesisSpec(
                about="cuts the power of the whole host, which loses what RabbitMQ had not synced,"
                " and boots it again to heal; on hosts that jepsenvm cannot switch, kills RabbitMQ"
                " and loses the same",
                draw=cls.on_victims,
                takes="nodes",
            )
        }

    def without_power(self) -> Fault:
        """Return the loss of the same writes on hosts that stay on."""
        return ServiceLoss(name=self.name, text=self.text, nodes=self.nodes)

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Write the sentinels. The machine provider then cuts the power."""
        return [Action((fault_id,), program=sentinel_evidence.PROGRAM)]

    def probes(self) -> tuple[str, ...]:
        """Return the probes of the hosts' SSH ports and of the sentinels."""
        return (host_evidence.PROBE, sentinel_evidence.PROBE)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each host that did not answer before the fault, or still answers."""
        yield from sentinel_evidence.not_read_before(self.nodes, before)
        yield from host_evidence.still_answering(self.nodes, during)

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each host that does not answer again, or that did not lose what it had to lose."""
        yield from host_evidence.not_answering_again(self.nodes, after)
        yield from sentinel_evidence.not_lost(self.nodes, before, after)

    def requirements(self) -> tuple[str, ...]:
        """Return a machine provider that switches hosts, and a file system that loses writes."""
        return ("power", "data-file-system")
