"""Restart: a clean restart of RabbitMQ's service. The fault ends when the node listens again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import process_evidence
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Hosts
from jepsenvm.nemesis.grudge import shuffled
from jepsenvm.nemesis.process_fault import ProcessFault
from jepsenvm.nemesis.request import FaultRequest, NemesisSpec, Stage
from jepsenvm.rabbitmq.names import SERVICE

_TURN_SHARE: Final = 0.75
"""The share of its turn in which a node of a rolling restart restarts.

In the rest of the turn it comes back, before the next node restarts.
"""


class Restart(ProcessFault):
    """Restart RabbitMQ's service."""

    kind = "restart"
    stops_load = "never"
    lasting = False
    settles_s = 100.0  # systemd lets a service take 90 s to stop; 500 queues under load can need 72
    heals_s = 120.0

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemeses that restart chosen nodes at once, or all nodes in turn."""
        return {
            "restart": NemesisSpec(
                about="restarts RabbitMQ's service cleanly",
                draw=cls.on_victims,
                takes="nodes",
                mixes=("mixed", "processes"),
            ),
            "rolling-restart": NemesisSpec(
                about="restarts every node cleanly, one after the other, in random order",
                draw=cls.rolling,
            ),
        }

    @classmethod
    def rolling(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Draw one stage for each node, in random order."""
        count = len(request.nodes)
        return tuple(
            Stage(turn / count, (turn + _TURN_SHARE) / count, cls(text=node, nodes=(node,)))
            for turn, node in enumerate(shuffled(request.nodes, request.random))
        )

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Start the restart of the service, without waiting for its end."""
        return [shell(f"systemctl restart --no-block {SERVICE}")]

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that still has the runtime from before the fault."""
        yield from process_evidence.not_running_before(self.nodes, before)
        yield from process_evidence.probe_failures(self.nodes, during)
        yield from process_evidence.not_restarted(self.nodes, before, during)

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that does not listen for AMQP again."""
        yield from process_evidence.not_listening(self.nodes, after)
