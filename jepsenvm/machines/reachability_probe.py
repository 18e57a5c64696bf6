"""The reachability matrix: which node can exchange packets with which, probed from every node at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jepsenvm.machines.facts import Facts
from jepsenvm.machines.reachability import Matrix
from jepsenvm.machines.ssh import Fleet

PORTS: Final = (4369, 25672)
"""Erlang's port mapper and RabbitMQ's distribution: what a cluster lives on."""

SILENCE_S: Final = 1.0
"""So long without any answer counts as cut."""


def matrix(fleet: Fleet, facts: Mapping[str, Facts], silence: float = SILENCE_S) -> Matrix:
    """Return who can reach whom; a row of None for a node whose probe failed."""
    silence *= fleet.patience

    def row(node: str) -> Mapping[str, bool | None]:
        peers = {name: list(peer.global_addresses) for name, peer in facts.items() if name != node}
        answer: dict[str, bool | None] = fleet.python(
            node,
            "reach",
            {"peers": peers, "ports": PORTS, "timeout": silence},
            timeout=silence / fleet.patience + 30,
        )
        return answer

    rows = fleet.each_or_error(row)
    return {
        node: dict.fromkeys(name for name in facts if name != node)
        if isinstance(seen, Exception)
        else seen
        for node, seen in rows.items()
    }
