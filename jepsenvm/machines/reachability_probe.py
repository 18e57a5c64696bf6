"""Measures which nodes can exchange packets, by probes from all nodes at once."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.errors import message_of
from jepsenvm.machines.facts import Facts
from jepsenvm.machines.reachability import BlockedPorts, Matrix
from jepsenvm.machines.ssh import Fleet

logger = logging.getLogger(__name__)

SILENCE_S: Final = 1.0
"""Seconds without any answer after which a link counts as cut."""


@dataclass(frozen=True)
class _Row:
    """The answer of ``machines.remote.reach`` on one node."""

    reached: Mapping[str, bool]
    answers: Mapping[str, Mapping[int, str]]
    """What a connection to each peer and port met: open, refused or silent."""
    listening: frozenset[int]

    @classmethod
    def from_data(cls, data: Any, peers: Collection[str]) -> _Row:
        """Read an answer; raise one of ``errors.MALFORMED`` unless it is about these peers."""
        reached = {str(peer): bool(passes) for peer, passes in data["reached"].items()}
        answers = {
            str(peer): {int(port): str(answer) for port, answer in of_peer.items()}
            for peer, of_peer in data["answers"].items()
        }
        if not reached.keys() == answers.keys() == set(peers):
            raise ValueError("it is not about these peers")
        return cls(reached, answers, frozenset(map(int, data["listening"])))


@dataclass(frozen=True)
class Reachability:
    """Who can reach whom."""

    matrix: Matrix
    """Whether packets pass at all: on any port of any address."""
    blocked: BlockedPorts
    """The ports of the cluster address on which packets do not pass."""


def reachability(
    fleet: Fleet, facts: Mapping[str, Facts], silence: float = SILENCE_S
) -> Reachability:
    """Return who can reach whom on the cluster's ports.

    A refused connection is an answer, unless the node listens there: then a firewall refused it. A
    node whose probe failed has None for every peer.
    """
    silence *= fleet.patience
    targets = {
        name: {
            "addresses": list(of_node.global_addresses),
            "cluster_address": fleet.nodes[name].cluster_address,
            "ports": list(fleet.nodes[name].cluster_ports),
        }
        for name, of_node in facts.items()
    }

    def probe(node: str) -> _Row:
        peers = {name: target for name, target in targets.items() if name != node}
        order = {"peers": peers, "own": targets[node], "timeout": silence}
        answer = fleet.python(node, "reach", order, timeout=silence / fleet.patience + 30)
        return _Row.from_data(answer, peers)

    answers = fleet.each_or_error(probe)
    rows = {node: answer for node, answer in answers.items() if not isinstance(answer, Exception)}
    for node, answer in answers.items():
        if isinstance(answer, Exception):
            logger.info(f"{node}: whom it can reach was not measured: {message_of(answer)}")
    nothing = {node: dict.fromkeys(name for name in facts if name != node) for node in facts}
    return Reachability(
        matrix={
            node: dict(rows[node].reached) if node in rows else nothing[node] for node in facts
        },
        blocked={node: _blocked(node, rows) if node in rows else nothing[node] for node in facts},
    )


def _blocked(node: str, rows: Mapping[str, _Row]) -> dict[str, list[int] | None]:
    return {
        peer: [
            port for port, answer in of_peer.items() if not _passes(answer, port, rows.get(peer))
        ]
        for peer, of_peer in rows[node].answers.items()
    }


def _passes(answer: str, port: int, row_of_peer: _Row | None) -> bool:
    listens = row_of_peer is not None and port in row_of_peer.listening
    return answer == "open" or (answer == "refused" and not listens)
