"""Pause: SIGSTOP of RabbitMQ's processes, and SIGCONT to heal."""

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
from jepsenvm.rabbitmq.names import SERVICE

_PAUSED: Final = Marker(
    name="paused",
    undo=f"systemctl kill --signal=SIGCONT {SERVICE}",
    report=f"resumed {SERVICE}, which was paused",
)

_STOPPED_STATE: Final = "T"
"""The state of a stopped process in `/proc/PID/stat`."""


class Pause(ProcessFault):
    """Stop every process of RabbitMQ's service with SIGSTOP."""

    kind = "pause"
    stops_load = "on-all-nodes"
    stops_replicas = True
    sweep = _PAUSED.sweep

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that pauses nodes."""
        return {
            "pause": NemesisSpec(
                about="sends SIGSTOP to RabbitMQ, and SIGCONT to heal",
                draw=cls.on_victims,
                takes="nodes",
                mixes=("mixed", "processes"),
            )
        }

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Send SIGSTOP to every process of the service."""
        return [shell(f"systemctl kill --signal=SIGSTOP {SERVICE}", ahead=_PAUSED.set())]

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Send SIGCONT to every process of the service."""
        return _PAUSED.heal()

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which RabbitMQ is not stopped."""
        yield from process_evidence.not_running_before(self.nodes, before)
        for node in self.nodes:
            runtime = process_evidence.runtime(during, node)
            if runtime is None:
                yield f"RabbitMQ does not run on {node}, or its process table could not be read"
            elif runtime["state"] != _STOPPED_STATE:
                yield f"RabbitMQ on {node} is in state {runtime['state']}, not stopped"

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which RabbitMQ is still stopped."""
        for node in self.nodes:
            runtime = process_evidence.runtime(after, node)
            if runtime is None:
                yield f"RabbitMQ does not run on {node}, or its process table could not be read"
            elif runtime["state"] == _STOPPED_STATE:
                yield f"RabbitMQ on {node} is still stopped"
