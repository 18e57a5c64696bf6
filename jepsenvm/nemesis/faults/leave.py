"""Leave: a node leaves the cluster for good, without its database, and joins again as a new one to heal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Hosts, Kind
from jepsenvm.nemesis.undo import Undo
from jepsenvm.rabbitmq.names import SERVICE

_DATABASE: Final = "/var/lib/rabbitmq/mnesia"

# One that was stopped but never forgotten starts with what it has; one that was forgotten would be refused with it.
_REJOIN: Final = Undo(
    "left",
    f"""timeout 120 systemctl start {SERVICE} || {{
  rm -rf {_DATABASE}
  timeout 120 systemctl start {SERVICE}
}}
timeout 60 rabbitmq-queues --quiet grow "$(cat $marker)" all >/dev/null 2>&1 || true""",
    "made this node join the cluster again",
)
"""As a new one, with replicas of the quorum queues again."""


def inject(fault: Fault, _: str, node: str, hosts: Hosts) -> Sequence[Action]:
    """Stop the node and wipe it, while another one waits to forget it."""
    if node in fault.nodes:
        ahead = _REJOIN.mark(hosts[node].broker)
        return [shell(f"timeout 60 systemctl stop {SERVICE}\nrm -rf {_DATABASE}", ahead=ahead)]
    if node != min(set(hosts) - set(fault.nodes)):
        return []
    return [
        shell(
            f"""for attempt in $(seq 60); do
  if said=$(timeout 30 rabbitmqctl --quiet forget_cluster_node {hosts[leaver].broker} 2>&1); then break; fi
  sleep 1
done
[ "$attempt" -lt 60 ] || {{ printf '%s\\n' "$said" >&2; exit 1; }}"""
        )
        for leaver in fault.nodes
    ]


def doubts(
    fault: Fault, before: Evidence, during: Evidence, around: ConcurrentFaults
) -> Iterator[str]:
    """Yield the nodes that some other still has for a member."""
    for leaver in fault.nodes:
        for node, view in during["members"].items():
            if node in fault.nodes or node in around.off:
                continue
            if view is None:
                yield f"{node} could not be asked for its members"
            elif leaver in view["members"]:
                yield f"{node} still has {leaver} for a member"
        if not any(view and leaver in view["members"] for view in before["members"].values()):
            yield f"{leaver} was no member even before"


def leftovers(
    fault: Fault, _: Evidence, after: Evidence, around: ConcurrentFaults
) -> Iterator[str]:
    """Yield the nodes that do not see it running again."""
    for leaver in fault.nodes:
        for node, view in after["members"].items():
            if node not in around.off and (view is None or leaver not in view["running"]):
                yield f"{node} does not see {leaver} running"


KIND = Kind(
    inject,
    _REJOIN.heal,
    lambda _: ("members",),
    doubts,
    leftovers,
    sweep=_REJOIN.sweep,
    settles_s=20.0,
    heals_s=120.0,
)
