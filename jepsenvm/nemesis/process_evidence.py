"""Evidence of the probe `processes`: RabbitMQ's runtime and its connections on each node."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from jepsenvm.nemesis.fault import Evidence

PROBES: Final = ("processes",)


def runtime(evidence: Evidence, node: str) -> dict[str, Any] | None:
    """Return a node's Erlang runtime: its pid, state and start time.

    None if no runtime is alive, or if the probe failed.
    """
    return (evidence["processes"].get(node) or {}).get("runtime")


def listens(evidence: Evidence, node: str) -> bool:
    """Return whether a node listens for AMQP connections."""
    return bool((evidence["processes"].get(node) or {}).get("amqp"))


def sessions(evidence: Evidence, node: str) -> set[str]:
    """Return the peers of a node's established AMQP connections."""
    return set((evidence["processes"].get(node) or {}).get("sessions", ()))


def not_running_before(nodes: Collection[str], before: Evidence) -> Iterator[str]:
    """Yield a reason for each node on which RabbitMQ did not run before the fault."""
    for node in nodes:
        if not runtime(before, node):
            yield f"RabbitMQ did not run on {node} before the fault"


def probe_failures(nodes: Collection[str], evidence: Evidence) -> Iterator[str]:
    """Yield a reason for each node on which the probe failed."""
    for node in nodes:
        if not evidence["processes"].get(node):
            yield f"the process table of {node} could not be read"


def still_running(nodes: Collection[str], during: Evidence) -> Iterator[str]:
    """Yield a reason for each node on which RabbitMQ runs during the fault."""
    for node in nodes:
        if runtime(during, node):
            yield f"RabbitMQ still runs on {node}"


def not_restarted(nodes: Collection[str], before: Evidence, during: Evidence) -> Iterator[str]:
    """Yield a reason for each node that still has the runtime from before the fault."""
    for node in nodes:
        earlier, now = runtime(before, node), runtime(during, node)
        if earlier and now and earlier["started"] == now["started"]:
            yield f"RabbitMQ on {node} did not restart"


def not_running_again(nodes: Collection[str], after: Evidence) -> Iterator[str]:
    """Yield a reason for each node on which RabbitMQ does not run after healing."""
    for node in nodes:
        if not runtime(after, node):
            yield f"RabbitMQ does not run on {node}"


def not_listening(nodes: Collection[str], evidence: Evidence) -> Iterator[str]:
    """Yield a reason for each node that does not listen for AMQP connections."""
    for node in nodes:
        if not listens(evidence, node):
            yield f"{node} does not listen for AMQP"
