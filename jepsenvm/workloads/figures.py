"""Figures of a load that is going on, by node, for whoever watches the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jepsenvm.history.recent_latencies import Latencies, RecentLatencies
from jepsenvm.workloads.clients import NO_CLIENTS, ClientCounts, Clients


@dataclass(frozen=True)
class NodeFigures:
    """What the clients of one node did since the figures were taken before."""

    clients: ClientCounts = NO_CLIENTS
    latencies: Latencies = field(default_factory=dict)
    """The latencies of the acknowledged ops, which also count them."""

    def as_data(self) -> list[Any]:
        """Return JSON-able data; ``figures_from_data`` reads it back."""
        counts = [self.clients.connected, self.clients.connecting]
        return [*counts, list(self.latencies.items())]


Figures = Mapping[str, NodeFigures]
"""The figures of each node."""


def figures_from_data(data: Mapping[str, list[Any]]) -> Figures:
    """Return the figures that ``as_data`` of each node has given."""
    return {
        node: NodeFigures(ClientCounts(connected, connecting), dict(latencies))
        for node, (connected, connecting, latencies) in data.items()
    }


def taken(clients: Clients, recent: RecentLatencies) -> Figures:
    """Return the figures of one process since the last call."""
    counts, latencies = clients.counts(), recent.take()
    return {
        node: NodeFigures(counts.get(node, NO_CLIENTS), latencies.get(node, {}))
        for node in counts.keys() | latencies.keys()
    }


def latest(before: Figures, now: Figures) -> Figures:
    """Return the figures of one process that has told figures twice: the clients of ``now``."""
    both = total([before, now])
    return {
        node: NodeFigures(now[node].clients if node in now else NO_CLIENTS, figures.latencies)
        for node, figures in both.items()
    }


def total(parts: Iterable[Figures]) -> Figures:
    """Return the figures of several processes together."""
    connected: Counter[str] = Counter()
    connecting: Counter[str] = Counter()
    latencies: dict[str, Counter[int]] = {}
    for part in parts:
        for node, figures in part.items():
            connected[node] += figures.clients.connected
            connecting[node] += figures.clients.connecting
            latencies.setdefault(node, Counter()).update(figures.latencies)
    return {
        node: NodeFigures(ClientCounts(connected[node], connecting[node]), dict(counts))
        for node, counts in latencies.items()
    }
