"""Replica-shrink: a node loses its replicas of quorum queues, and gets them again to heal."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Self

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Hosts
from jepsenvm.nemesis.marker import Marker
from jepsenvm.nemesis.node_fault import NodeFault
from jepsenvm.nemesis.request import FaultRequest, NemesisSpec, Stage

_SHRUNK: Final = Marker(
    name="replicas-shrunk",
    undo='timeout 60 rabbitmq-queues --quiet grow "$(cat $marker)" all >/dev/null',
    report="added this node's replicas of quorum queues again",
)
"""The marker holds the Erlang node name."""


class ReplicaShrink(NodeFault):
    """Remove every replica of a quorum queue from nodes."""

    kind = "replica-shrink"
    stops_load = "never"
    queue_types = ("quorum",)
    settles_s = 15.0
    heals_s = 60.0
    sweep = _SHRUNK.sweep

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that removes replicas."""
        return {
            "replica-shrink": NemesisSpec(
                about="removes a node's replicas of quorum queues, and adds them again to heal",
                draw=cls.on_victims_or_a_replica,
                takes="nodes",
                fewest_nodes=3,
            )
        }

    @classmethod
    def on_victims_or_a_replica(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Draw the fault on the chosen nodes, or on a node with a replica of the run's queue."""
        if request.victims:
            return cls.on_victims(request)
        return cls.on_role(request, "replica", "a node with a replica at that moment")

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Remove every replica from the node."""
        broker = hosts[node].broker
        shrink = f"timeout 60 rabbitmq-queues --quiet shrink {shlex.quote(broker)}"
        return [shell(shrink, ahead=_SHRUNK.set(broker))]

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Add the replicas again."""
        return _SHRUNK.heal()

    def probes(self) -> tuple[str, ...]:
        """Return the probe of the queue's leader and replicas."""
        return ("queue",)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that had no replica before the fault, or still has one."""
        for node in self.nodes:
            if node not in ((before["queue"] or {}).get("members") or ()):
                yield f"{node} had no replica of the queue before the fault"
            if not during["queue"]:
                yield "no node reports the replicas of the queue"
            elif node in during["queue"]["members"]:
                yield f"{node} still has a replica of the queue"

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that has no replica again."""
        for node in self.nodes:
            if not after["queue"]:
                yield "no node reports the replicas of the queue"
            elif node not in after["queue"]["members"]:
                yield f"{node} has no replica of the queue"

    def resolve(self, leader: str, replicas: Collection[str] = ()) -> Self:
        """Return the fault on the first node with a replica."""
        if self.role is None:
            return self
        victims = tuple(self.nodes_with_replica(replicas)[:1])
        return replace(self, nodes=victims, text=" ".join(victims), role=None)
