"""Leader-transfer: the leader of a quorum queue transfers its leadership to another replica."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Self

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Hosts
from jepsenvm.nemesis.node_fault import NodeFault
from jepsenvm.nemesis.request import NemesisSpec
from jepsenvm.rabbitmq.erlang import Atom, Erlang


class LeaderTransfer(NodeFault):
    """Transfer the leadership of the run's queue."""

    kind = "leader-transfer"
    stops_load = "never"
    queue_types = ("quorum",)
    lasting = False
    settles_s = 10.0

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that transfers the leadership."""
        return {
            "leader-transfer": NemesisSpec(
                about="transfers the leadership of the queue to another replica",
                draw=partial(cls.on_role, role="leader", text="the queue's leader at that moment"),
            )
        }

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Transfer the leadership from the leader to the node of the setting `heir`.

        The heir has a replica. The setting `queue` names the queue.
        """
        transfer = Erlang(
            "{ok, Queue} = rabbit_amqqueue:lookup(rabbit_misc:r($vhost, queue, $queue)),"
            " rabbit_quorum_queue:transfer_leadership(Queue, $heir).",
            vhost=hosts[node].vhost,
            queue=str(self.settings["queue"]),
            heir=Atom(hosts[str(self.settings["heir"])].broker),
        )
        return [shell(transfer.script())]

    def probes(self) -> tuple[str, ...]:
        """Return the probe of the queue's leader and replicas."""
        return ("queue",)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield a reason if the queue still has its leader from before the fault, or none."""
        leader_before = (before["queue"] or {}).get("leader")
        leader_now = (during["queue"] or {}).get("leader")
        if leader_before is None or leader_now is None:
            yield "the queue's leader is unknown"
        elif leader_before == leader_now:
            yield f"{leader_now} still leads the queue"

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield nothing: a transfer leaves nothing to heal."""
        return iter(())

    def resolve(self, leader: str, replicas: Collection[str] = ()) -> Self:
        """Return the fault on the leader, with the first follower as its `heir`."""
        if self.role is None:
            return self
        followers = [node for node in self.nodes_with_replica(replicas) if node != leader]
        heir = {"heir": followers[0]} if followers else {}
        return replace(
            self, nodes=(leader,), text=leader, settings={**self.settings, **heir}, role=None
        )
