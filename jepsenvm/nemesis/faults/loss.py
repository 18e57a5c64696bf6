"""Loss: nodes drop a share of packets at random, with iptables' statistic match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jepsenvm.machines.action import Action
from jepsenvm.nemesis import iptables
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.datagram_evidence import TOLERATED_LOSS_PERCENT, lost_share
from jepsenvm.nemesis.fault import Evidence, Fault, Hosts
from jepsenvm.nemesis.request import NemesisSpec


class Loss(Fault):
    """Drop `percent` of the packets from the nodes in each node's grudge."""

    kind = "loss"
    compares = True
    stops_load = "never"

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that loses packets of a node."""
        return {
            "loss": NemesisSpec(
                about="drops random packets between a node and all others",
                draw=cls.on_links,
                takes="nodes",
                settings={"percent": 20},
                mixes=("mixed",),
            )
        }

    def inject(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Drop the share of the packets from the nodes in the node's grudge."""
        match = f"-m statistic --mode random --probability {self._share:.6f} "
        return iptables.drop(fault_id, self.peer_addresses(node, hosts), match)

    def heal(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Remove the fault's chain."""
        return [iptables.remove(fault_id)] if self.grudge.get(node) else []

    def probes(self) -> tuple[str, ...]:
        """Return the probe that counts datagrams."""
        return ("datagrams",)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield a reason if less than a third of the share is lost, or no more than before."""
        others = concurrent | ConcurrentFaults.of(before)
        if self.hidden_by(others):
            return
        lost_before = lost_share(before["datagrams"], self.grudge, others)
        lost_now = lost_share(during["datagrams"], self.grudge, others)
        if lost_now is None or lost_before is None:
            yield "no datagrams could be counted"
        elif lost_now < self._share / 3 or lost_now <= lost_before:
            yield (
                f"{lost_now:.0%} of the datagrams are lost ({lost_before:.0%} before the fault,"
                f" {self._share:.0%} expected)"
            )

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield a reason if more datagrams are lost than before the fault, beyond 1%."""
        others = concurrent | ConcurrentFaults.of(before)
        lost_before = lost_share(before["datagrams"], self.grudge, others)
        lost_now = lost_share(after["datagrams"], self.grudge, concurrent)
        if lost_now is None:
            yield "no datagrams could be counted after healing"
        elif lost_now > (lost_before or 0) + 0.01:
            yield f"{lost_now:.0%} of the datagrams are still lost"

    def requirements(self) -> tuple[str, ...]:
        """Return iptables with its statistic match."""
        return ("iptables", "ip6tables", "statistic")

    def silences_links(self) -> bool:
        """Return whether the loss is high enough that a reachability probe may get no answer."""
        return self._percent > TOLERATED_LOSS_PERCENT

    @property
    def _percent(self) -> float:
        return float(self.settings["percent"])

    @property
    def _share(self) -> float:
        return self._percent / 100
