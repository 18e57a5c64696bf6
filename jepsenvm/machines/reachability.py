"""Reachability: which nodes can exchange packets, as a measured matrix or a planned grudge.

"Grudge" is Jepsen's word (``jepsen.nemesis``). It maps a node to the nodes it drops packets from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

Matrix = Mapping[str, Mapping[str, bool | None]]
"""from -> to -> whether packets pass; None where the probe failed."""

BlockedPorts = Mapping[str, Mapping[str, Sequence[int] | None]]
"""from -> to -> the cluster's ports on which packets do not pass; None where the probe failed."""

Grudge = Mapping[str, frozenset[str]]
Groups = tuple[tuple[str, ...], ...]


def pairs(matrix: Matrix) -> Iterator[tuple[str, str, bool | None]]:
    """Yield (from, to, whether packets pass) for each ordered pair of different nodes."""
    for source, row in matrix.items():
        for target, passes in row.items():
            if source != target:
                yield source, target, passes


def broken_links(matrix: Matrix, blocked: BlockedPorts) -> Iterator[tuple[str, str, str]]:
    """Yield (from, to, " on port ..." or "") for each link that is not whole.

    A link is whole if packets pass on every port of the cluster. One port on which they pass only
    proves that the link is not cut completely.
    """
    for source, target, passes in pairs(matrix):
        ports = blocked.get(source, {}).get(target) or ()
        if not passes:
            yield source, target, ""
        elif ports:
            yield source, target, on_ports(ports)


def on_ports(ports: Sequence[int]) -> str:
    """Return ports for a message, such as `` on port 25672``."""
    return f" on port{'s' if len(ports) > 1 else ''} {' and '.join(map(str, ports))}"


def cut_pairs(grudge: Grudge) -> frozenset[tuple[str, str]]:
    """Return the ordered pairs (from, to) of nodes that a grudge keeps from talking to each other.

    A connection needs both directions. A pair is cut when either node drops the other's packets.
    """
    dropped = {(source, node) for node, sources in grudge.items() for source in sources}
    return frozenset(dropped | {(target, source) for source, target in dropped})


def one_way_pairs(grudge: Grudge) -> frozenset[tuple[str, str]]:
    """Return the ordered pairs (from, to) of which a grudge cuts this direction only."""
    dropped = {(source, node) for node, sources in grudge.items() for source in sources}
    return frozenset(
        (source, target) for source, target in dropped if (target, source) not in dropped
    )


def components(nodes: Iterable[str], cut: Collection[tuple[str, str]]) -> Groups:
    """Return the groups of nodes that are connected, directly or through other nodes."""
    left, groups = set(nodes), []
    while left:
        group: set[str] = set()
        joining = {min(left)}
        while joining:
            group |= joining
            joining = {
                node
                for node in left - group
                if any((node, member) not in cut for member in joining)
            }
        groups.append(group)
        left -= group
    return sorted_groups(*map(tuple, groups))


def majority(count: int) -> int:
    """Return the smallest number of nodes that is a majority of ``count`` nodes."""
    return count // 2 + 1


def leaves_a_majority(grudge: Grudge, nodes: Collection[str]) -> bool:
    """Return whether a majority of the nodes can still talk to each other under a grudge."""
    groups = components(nodes, cut_pairs(grudge))
    return any(len(group) >= majority(len(nodes)) for group in groups)


def sorted_groups(*groups: Sequence[str]) -> Groups:
    """Return the groups with the nodes of each in order."""
    return tuple(tuple(sorted(group)) for group in groups)
