"""Leave: a node leaves the cluster and loses its database. It joins again as a new node to heal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import member_evidence
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Fault, Hosts
from jepsenvm.nemesis.marker import Marker
from jepsenvm.nemesis.request import NemesisSpec
from jepsenvm.rabbitmq.names import DATABASE_DIR, SERVICE

_LEFT: Final = Marker(
    name="left",
    # A node that was stopped but not forgotten starts with its database. A forgotten node starts
    # only without it.
    undo=f"""timeout 120 systemctl start {SERVICE} || {{
  rm -rf {DATABASE_DIR}
  timeout 120 systemctl start {SERVICE}
}}
timeout 60 rabbitmq-queues --quiet grow "$(cat $marker)" all >/dev/null 2>&1 || true""",
    report="joined this node to the cluster again",
)
"""Healing also adds replicas of the quorum queues. The marker holds the Erlang node name."""


class Leave(Fault):
    """Remove nodes from the cluster."""

    kind = "leave"
    stops_load = "on-all-nodes"
    disturbs_broker = True
    settles_s = 20.0
    heals_s = 120.0
    sweep = _LEFT.sweep

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that removes nodes."""
        return {
            "leave": NemesisSpec(
                about="removes a node from the cluster, and joins it again to heal",
                draw=cls.on_victims,
                takes="nodes",
                fewest_nodes=3,
            )
        }

    def inject(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Stop the leaving nodes and delete their databases; the first other node forgets them."""
        if node in self.nodes:
            stop = f"timeout 60 systemctl stop {SERVICE}\nrm -rf {DATABASE_DIR}"
            return [shell(stop, ahead=_LEFT.set(hosts[node].broker))]
        if node != min(set(hosts) - set(self.nodes)):
            return []
        return [shell(_forget(hosts[leaver].broker)) for leaver in self.nodes]

    def heal(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Start the node, without its database if it is refused, and add its replicas."""
        return _LEFT.heal() if node in self.nodes else []

    def probes(self) -> tuple[str, ...]:
        """Return the probe of each node's view of the cluster."""
        return ("members",)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that still lists a leaving node as a member."""
        others = [
            node
            for node in during["members"]
            if node not in self.nodes and node not in concurrent.off
        ]
        if not others:
            yield "no other node was asked for its members"
        for leaver in self.nodes:
            for node in others:
                view = during["members"][node]
                if view is None:
                    yield f"{node} does not answer the request for its members"
                elif leaver in view["members"]:
                    yield f"{node} still lists {leaver} as a member"
            if not any(view and leaver in view["members"] for view in before["members"].values()):
                yield f"{leaver} was not a member before the fault"

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that does not list a leaving node as running again."""
        others = [node for node in after["members"] if node not in concurrent.off]
        if not others:
            yield "no node was asked for its members"
        for leaver in self.nodes:
            yield from member_evidence.not_listed_as_running(leaver, others, after)


def _forget(broker: str) -> str:
    """Return the shell script that removes a node from the cluster, with up to 60 attempts.

    RabbitMQ forgets only a node that has stopped.
    """
    forget = f"timeout 30 rabbitmqctl --quiet forget_cluster_node {shlex.quote(broker)}"
    return f"""for attempt in $(seq 60); do
  if output=$({forget} 2>&1); then break; fi
  sleep 1
done
[ "$attempt" -lt 60 ] || {{ printf '%s\\n' "$output" >&2; exit 1; }}"""
