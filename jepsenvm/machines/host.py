"""What a fault must know of a node to be rendered for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """A node's addresses that are its own alone (IPv4 and IPv6), how its controller comes in, and its broker's name."""

    addresses: tuple[str, ...]
    controller: str | None
    """The address from which the controller's SSH comes, as the node sees it."""
    ssh_port: int
    """Where its own sshd listens, which need not be the port by which the controller reaches it."""
    broker: str = ""
    """Its Erlang node name."""
    vhost: str = "/"
    answers: tuple[int, ...] = ()
    """The ports from which SSH answers come in here that are the controller's: it, or its way, is on this node."""
