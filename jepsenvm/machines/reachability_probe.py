"""Measures which nodes can exchange packets, by probes from all nodes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from jepsenvm.machines.facts import Facts
from jepsenvm.machines.reachability import Matrix
from jepsenvm.machines.ssh import Fleet

SILENCE_S: Final = 1.0
"""Seconds without any answer after which a link counts as cut."""


def matrix(
    fleet: Fleet, facts: Mapping[str, Facts], ports: Sequence[int], silence: float = SILENCE_S
) -> Matrix:
    """Return who can reach whom on any of the TCP ports.

    A refused connection is an answer. A node whose probe failed has None for every peer.
    """
    silence *= fleet.patience

    def probe(node: str) -> Mapping[str, bool | None]:
        peers = {name: list(peer.global_addresses) for name, peer in facts.items() if name != node}
        order = {"peers": peers, "ports": ports, "timeout": silence}
        row: dict[str, bool | None] = fleet.python(
            node, "reach", order, timeout=silence / fleet.patience + 30
        )
        return row

    rows = fleet.each_or_error(probe)
    return {
        node: dict.fromkeys(name for name in facts if name != node)
        if isinstance(row, Exception)
        else row
        for node, row in rows.items()
    }
