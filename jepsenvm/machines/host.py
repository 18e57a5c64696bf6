"""The facts about a host that faults need."""

from __future__ import annotations

from dataclasses import dataclass

from jepsenvm.machines.ports import AMQP_PORT


@dataclass(frozen=True)
class Host:
    """A node as faults address it."""

    addresses: tuple[str, ...]
    """The IPv4 and IPv6 addresses that no other node has."""
    controller: str | None
    """The source address of the controller's SSH, as the node sees it; None if unknown."""
    ssh_port: int
    """The port on which the node's own sshd listens. The controller may use another port."""
    broker: str = ""
    """The Erlang node name."""
    vhost: str = "/"
    distribution_port: int = 25672
    """The port of Erlang's distribution on this host."""
    amqp_port: int = AMQP_PORT
    """The port on which the broker accepts clients. Clients may use another port,
    which is forwarded to it."""
    answers: tuple[int, ...] = ()
    """If the controller or its jump host is this node: the source ports of SSH answers to it."""
