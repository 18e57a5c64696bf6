"""What the faults of RabbitMQ's process share: reading the process tables that prove them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import Evidence


def looks(_: Fault) -> tuple[str, ...]:
    """A process shows in its node's process table."""
    return ("processes",)


def runtime(sights: Evidence, node: str) -> dict[str, Any] | None:
    """Return a node's Erlang runtime: its pid, state and start; None when there is none, or the look failed."""
    return (sights["processes"].get(node) or {}).get("runtime")


def serves(sights: Evidence, node: str) -> bool:
    """Return whether a node's broker listens for AMQP."""
    return bool((sights["processes"].get(node) or {}).get("amqp"))


def not_there_before(fault: Fault, before: Evidence) -> Iterator[str]:
    """Yield the nodes of a fault that had nothing to break."""
    yield from (
        f"{node} had no RabbitMQ running even before"
        for node in fault.nodes
        if not runtime(before, node)
    )


def not_looked_at(fault: Fault, sights: Evidence) -> Iterator[str]:
    """Yield the nodes of a fault whose process table could not be read."""
    yield from (
        f"{node}'s processes could not be seen"
        for node in fault.nodes
        if not sights["processes"].get(node)
    )
