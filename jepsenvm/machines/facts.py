"""Facts about the hosts: their own addresses, the controller's route to them, and their clocks."""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jepsenvm.errors import UsageError
from jepsenvm.machines.clock_offset import clock_offset
from jepsenvm.machines.host import Host
from jepsenvm.machines.inventory_node import Node
from jepsenvm.machines.ssh import Fleet


@dataclass(frozen=True)
class Facts:
    """The facts about one node."""

    host: Host
    global_addresses: tuple[str, ...]
    """Its own addresses to which peers can connect without naming an interface."""
    clock_offset: float
    """Seconds by which the node's reference clock (``remote.reference_clock``) is ahead of this
    machine's clock."""
    missing: tuple[str, ...]
    """Programs that faults need and the node does not have."""


@dataclass(frozen=True)
class _Answer:
    addresses: Mapping[str, str]
    """The scope of each of its own addresses."""
    missing: tuple[str, ...]
    controller: str | None
    """The source address of the controller's SSH connection, as the node sees it."""
    ssh_port: int
    """The port of the node's sshd. It differs from the controller's if the port is forwarded."""
    clock_offset: float


def facts(fleet: Fleet) -> dict[str, Facts]:
    """Return the facts about every node.

    Raise UsageError for a node that has no address of its own, or whose cluster address is not one.
    """
    answers = fleet.each(lambda node: _ask(fleet, node))
    # An address that several nodes have, such as that of a hypervisor's NAT, belongs to none of
    # them. Dropping packets from it would cut links that must stay.
    owners = Counter(address for answer in answers.values() for address in answer.addresses)
    return {node: _facts(fleet.nodes[node], answers, owners) for node in answers}


def _ask(fleet: Fleet, node: str) -> _Answer:
    connection = fleet.plain(node, 'printf %s "$SSH_CONNECTION"').stdout.split()
    answer: dict[str, Any] = fleet.python(node, "facts")
    # The program reads the reference clock last, just before its answer arrives. During a clock
    # fault nothing else can read it.
    rough = answer["clock"] - time.time()
    offset = rough if answer["clock-moved"] else clock_offset(fleet, node)
    controller, port = None, 22
    if len(connection) == 4:
        controller, port = connection[0].partition("%")[0], int(connection[3])
    addresses = {_address(entry["address"]): str(entry["scope"]) for entry in answer["addresses"]}
    missing = tuple(str(program) for program in answer["missing"])
    return _Answer(addresses, missing, controller, port, offset)


def _address(text: str) -> str:
    """Return an address; raise one of ``errors.MALFORMED`` for any other text or type."""
    ipaddress.ip_address(text.partition("%")[0])
    return text


def _facts(node: Node, answers: Mapping[str, _Answer], owners: Mapping[str, int]) -> Facts:
    answer = answers[node.name]
    addresses = tuple(address for address in answer.addresses if owners[address] == 1)
    reachable = tuple(address for address in addresses if answer.addresses[address] == "global")
    if not reachable:
        raise UsageError(
            "has no address of its own that peers could reach",
            node=node.name,
            remedy="check `ip address`",
        )
    if node.cluster_address not in addresses:
        # Packets from behind an address translation would pass every rule of a partition, and no
        # probe would show it.
        raise UsageError(
            f"its cluster address {node.cluster_address} is not one of its own addresses",
            node=node.name,
            remedy="set cluster_address to an address that `ip address` shows there, "
            f"such as {reachable[0]}",
        )
    return Facts(
        host=Host(
            addresses=addresses,
            controller=answer.controller,
            ssh_port=answer.ssh_port,
            broker=node.broker or "",
            vhost=node.vhost,
            distribution_port=node.distribution_port,
            amqp_port=node.amqp_listen_port,
            answers=_answering_ports(node.name, addresses, answers),
        ),
        global_addresses=reachable,
        clock_offset=answer.clock_offset,
        missing=answer.missing,
    )


def _answering_ports(
    node: str, addresses: tuple[str, ...], answers: Mapping[str, _Answer]
) -> tuple[int, ...]:
    """Return the ports of other nodes' sshd to which the controller connects from this node."""
    ports = {
        answer.ssh_port
        for name, answer in answers.items()
        if name != node and answer.controller in addresses
    }
    return tuple(sorted(ports))
