"""Replicas: a node loses its replicas of quorum queues, or the queue's leader hands over to another node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Hosts, Kind
from jepsenvm.nemesis.undo import Undo

_GROW: Final = Undo(
    "replicas-shrunk",
    'timeout 60 rabbitmq-queues --quiet grow "$(cat $marker)" all >/dev/null',
    "gave this node its replicas back",
)


def shrink(fault: Fault, _: str, node: str, hosts: Hosts) -> Sequence[Action]:
    """Remove every replica that the node has."""
    if node not in fault.nodes:
        return []
    ahead = _GROW.mark(hosts[node].broker)
    return [shell(f"timeout 60 rabbitmq-queues --quiet shrink {hosts[node].broker}", ahead=ahead)]


def shrunk_doubts(
    fault: Fault, before: Evidence, during: Evidence, _: ConcurrentFaults
) -> Iterator[str]:
    """Yield the nodes that had no replica, or still have one."""
    for node in fault.nodes:
        if node not in ((before["queue"] or {}).get("members") or ()):
            yield f"{node} had no replica of the queue even before"
        if not during["queue"] or node in during["queue"]["members"]:
            yield f"{node} still has a replica of the queue, or nobody could be asked"


def shrunk_leftovers(
    fault: Fault, _: Evidence, after: Evidence, __: ConcurrentFaults
) -> Iterator[str]:
    """Yield the nodes that have no replica again."""
    for node in fault.nodes:
        if not after["queue"] or node not in after["queue"]["members"]:
            yield f"{node} has no replica of the queue again"


def transfer(fault: Fault, _: str, node: str, hosts: Hosts) -> Sequence[Action]:
    """Make the leader hand over to its ``heir``, another node with a replica."""
    if node not in fault.nodes:
        return []
    heir = hosts[str(fault.settings["heir"])].broker
    find = f'rabbit_amqqueue:lookup(rabbit_misc:r(<<"{hosts[node].vhost}">>, queue, <<"{fault.settings["queue"]}">>))'
    act = f"{{ok, Queue}} = {find}, rabbit_quorum_queue:transfer_leadership(Queue, '{heir}')."
    return [
        shell(f"timeout 30 rabbitmqctl --quiet eval \"$(cat <<'EXPRESSION'\n{act}\nEXPRESSION\n)\"")
    ]


def transferred_doubts(
    _: Fault, before: Evidence, during: Evidence, __: ConcurrentFaults
) -> Iterator[str]:
    """Yield when the queue has no leader, or the one from before."""
    earlier, now = ((sights["queue"] or {}).get("leader") for sights in (before, during))
    if earlier is None or now is None:
        yield "the queue's leader could not be learnt"
    elif earlier == now:
        yield f"{now} still leads the queue"


SHRINK = Kind(
    shrink,
    _GROW.heal,
    lambda _: ("queue",),
    shrunk_doubts,
    shrunk_leftovers,
    sweep=_GROW.sweep,
    settles_s=15.0,
    heals_s=60.0,
)

TRANSFER = Kind(
    transfer,
    lambda *_: (),
    lambda _: ("queue",),
    transferred_doubts,
    lambda *_: iter(()),
    settles_s=10.0,
    lasting=False,
)
