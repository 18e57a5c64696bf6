"""Power cut: the machine provider switches a host off without warning, and on again to heal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jepsenvm.machines.action import Action
from jepsenvm.nemesis import host_evidence
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Fault, Hosts
from jepsenvm.nemesis.request import NemesisSpec


class PowerCut(Fault):
    """Cut the power of hosts. The nemesis asks the machine provider; no host acts."""

    kind = "power-cut"
    stops_load = "on-all-nodes"
    stops_replicas = True
    powers_off = True
    heals_s = 120.0

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that cuts the power."""
        return {
            "power-cut": NemesisSpec(
                about="cuts the power of the whole host, and boots it again to heal",
                draw=cls.on_victims,
                takes="nodes",
            )
        }

    def inject(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Return no actions: a host cannot cut its own power."""
        return ()

    def probes(self) -> tuple[str, ...]:
        """Return the probe of the hosts' SSH ports."""
        return (host_evidence.PROBE,)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each host that did not answer before the fault, or still answers."""
        for node in self.nodes:
            if not before["hosts"].get(node):
                yield f"{node} did not answer before the fault"
        yield from host_evidence.still_answering(self.nodes, during)

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each host that does not answer again."""
        yield from host_evidence.not_answering_again(self.nodes, after)

    def requirements(self) -> tuple[str, ...]:
        """Return a machine provider that switches hosts."""
        return ("power",)
