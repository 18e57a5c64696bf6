"""Evidence of the probe `members`: which members of the cluster each node lists."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from jepsenvm.nemesis.fault import Evidence


def not_listed_as_running(node: str, others: Collection[str], evidence: Evidence) -> Iterator[str]:
    """Yield a reason for each of the other nodes that does not list a node as running."""
    for other in others:
        view = evidence["members"][other]
        if view is None:
            yield f"{other} does not answer the request for its members"
        elif node not in view["running"]:
            yield f"{other} does not list {node} as running"
