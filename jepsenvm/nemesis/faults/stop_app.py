"""Stop-app: `rabbitmqctl stop_app` stops RabbitMQ while its Erlang runtime stays up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import process_evidence
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Hosts
from jepsenvm.nemesis.marker import Marker
from jepsenvm.nemesis.process_fault import ProcessFault
from jepsenvm.nemesis.request import NemesisSpec

_STOPPED: Final = Marker(
    name="app-stopped",
    undo="timeout 120 rabbitmqctl --quiet start_app",
    report="started the RabbitMQ application, which was stopped",
)


class StopApp(ProcessFault):
    """Stop the RabbitMQ application, but not the runtime."""

    kind = "stop-app"
    stops_load = "on-all-nodes"
    stops_replicas = True
    settles_s = 10.0
    heals_s = 120.0
    sweep = _STOPPED.sweep

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that stops the application."""
        return {
            "stop-app": NemesisSpec(
                about="runs `rabbitmqctl stop_app`, and `start_app` to heal",
                draw=cls.on_victims,
                takes="nodes",
                mixes=("processes",),
            )
        }

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Stop the application."""
        return [shell("timeout 60 rabbitmqctl --quiet stop_app", ahead=_STOPPED.set())]

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Start the application."""
        return _STOPPED.heal()

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which the runtime is down, or that still listens for AMQP."""
        yield from process_evidence.not_running_before(self.nodes, before)
        for node in self.nodes:
            if not process_evidence.runtime(during, node):
                yield f"the Erlang runtime on {node} is not up"
            elif process_evidence.listens(during, node):
                yield f"{node} still listens for AMQP"

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that does not listen for AMQP again."""
        yield from process_evidence.not_listening(self.nodes, after)
