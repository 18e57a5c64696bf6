"""Drain: `rabbitmq-upgrade drain` puts nodes into maintenance mode, and `revive` heals them.

A drained node disconnects its clients, refuses new ones, transfers the leaders of its queues, and
stops its replicas of quorum queues. It stays a member of the cluster. A node that boots is never
under maintenance, so there is nothing to revive on a node that is down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import process_evidence
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import UNMEASURED, Evidence, Hosts
from jepsenvm.nemesis.marker import Marker
from jepsenvm.nemesis.process_fault import ProcessFault
from jepsenvm.nemesis.request import NemesisSpec
from jepsenvm.rabbitmq.names import SERVICE

_DRAINED: Final = Marker(
    name="drained",
    undo=f"""if systemctl is-active --quiet {SERVICE}; then
  timeout 90 rabbitmq-upgrade --quiet revive
fi""",
    report="revived this node, which was drained",
)

_REGULAR_STATUS: Final = "not under maintenance"
_DRAINED_STATUS: Final = "marked for maintenance"
"""The maintenance status as `rabbitmqctl cluster_status` reports it."""


class Drain(ProcessFault):
    """Put nodes into maintenance mode.

    It is in the mix `processes`, as its effect on clients is that of `stop-app`.
    """

    kind = "drain"
    stops_load = "on-all-nodes"
    settles_s = 15.0
    heals_s = 60.0
    sweep = _DRAINED.sweep

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that drains nodes."""
        return {
            "drain": NemesisSpec(
                about="puts RabbitMQ into maintenance mode with `rabbitmq-upgrade drain`, and runs"
                " `revive` to heal",
                draw=cls.on_victims,
                takes="nodes",
                mixes=("processes",),
            )
        }

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Drain the node."""
        return [shell("timeout 90 rabbitmq-upgrade --quiet drain", ahead=_DRAINED.set())]

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Revive the node."""
        return _DRAINED.heal()

    def probes(self) -> tuple[str, ...]:
        """Return the probes of the process table and of the maintenance status."""
        return (*super().probes(), "maintenance")

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that is not under maintenance, or that listens for AMQP.

        Before the fault each must have listened, and must not have been under maintenance.
        """
        yield from self._not_in_service(before, " before the fault")
        yield from process_evidence.probe_failures(self.nodes, during)
        for node in self.nodes:
            status = _status(during, node)
            if _DRAINED_STATUS not in status:
                yield f"the maintenance status of {node} is {status!r}"
            if process_evidence.listens(during, node):
                yield f"{node} still listens for AMQP"

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that is still under maintenance, or does not listen for AMQP."""
        yield from self._not_in_service(after, "")

    def requirements(self) -> tuple[str, ...]:
        """Return RabbitMQ's maintenance mode."""
        return ("maintenance-mode",)

    def _not_in_service(self, evidence: Evidence, when: str) -> Iterator[str]:
        for node in self.nodes:
            status = _status(evidence, node)
            if status != _REGULAR_STATUS:
                yield f"the maintenance status of {node} is {status!r}{when}"
            if not process_evidence.listens(evidence, node):
                yield f"{node} does not listen for AMQP{when}"


def _status(evidence: Evidence, node: str) -> str:
    """Return the maintenance status that a node reports of itself."""
    return str(evidence["maintenance"].get(node) or UNMEASURED)
