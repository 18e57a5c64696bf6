"""Client cuts: AMQP between the clients and chosen nodes is dropped, rejected, or its connections are killed once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import iptables as chain
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Hosts, Kind
from jepsenvm.rabbitmq.names import AMQP_PORT

TARGETS: Final[Mapping[str, str]] = {"drop": "DROP", "reject": "REJECT --reject-with tcp-reset"}

SEEN_AS: Final[Mapping[str, str]] = {"drop": "silent", "reject": "refused"}


def inject(fault: Fault, number: str, node: str, hosts: Hosts) -> Sequence[Action]:
    """Drop or reject what comes to the AMQP port; nodes do not talk to each other there."""
    if node not in fault.nodes:
        return []
    if fault.settings["way"] == "kill":
        return [shell(f"ss --kill state established '( sport = :{AMQP_PORT} )'")]
    versions = sorted({ip_address(address).version for address in hosts[node].addresses})
    return chain.put(
        number, [f"-p tcp --dport {AMQP_PORT} -j {TARGETS[str(fault.settings['way'])]}"], versions
    )


def heal(fault: Fault, number: str, node: str, _: Hosts) -> Sequence[Action]:
    """Let it pass again."""
    return [chain.remove(number)] if node in fault.nodes and fault.settings["way"] != "kill" else []


def doubts(
    fault: Fault, before: Evidence, during: Evidence, around: ConcurrentFaults
) -> Iterator[str]:
    """Yield the nodes whose AMQP port answers otherwise than it should."""
    wanted = SEEN_AS[str(fault.settings["way"])]
    for node, seen in during["clients"].items():
        if node in around.off:
            continue
        if node in fault.nodes and before["clients"][node] != "open":
            yield f"{node}'s AMQP port was {before['clients'][node]} even before"
        elif node in fault.nodes and seen != wanted:
            yield f"{node}'s AMQP port is {seen} to clients"


def leftovers(
    fault: Fault, _: Evidence, after: Evidence, around: ConcurrentFaults
) -> Iterator[str]:
    """Yield the nodes whose AMQP port is still cut off; a broker that is down refuses, and that is not ours."""
    for node in fault.nodes:
        if after["clients"][node] == "silent" and node not in around.off:
            yield f"{node}'s AMQP port is still silent"


def killed_doubts(
    fault: Fault, before: Evidence, during: Evidence, _: ConcurrentFaults
) -> Iterator[str]:
    """Yield the nodes that had no connection to kill, or still have one of those."""
    for node in fault.nodes:
        earlier, now = (
            set((sights["processes"][node] or {}).get("sessions", ()))
            for sights in (before, during)
        )
        if not earlier:
            yield f"{node} had no AMQP connection that could be killed"
        elif earlier & now:
            yield f"{len(earlier & now)} of {len(earlier)} AMQP connections of {node} live on"


CUT = Kind(
    inject,
    heal,
    lambda _: ("clients",),
    doubts,
    leftovers,
    needs=lambda _: ("iptables", "ip6tables"),
)

KILL = replace(
    CUT,
    looks=lambda _: ("processes",),
    doubts=killed_doubts,
    leftovers=lambda *_: iter(()),
    needs=lambda _: ("socket-kill",),
    lasting=False,
)
