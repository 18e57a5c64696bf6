"""Grudges: which node drops packets from which nodes.

The word and the shapes are Jepsen's (``jepsen.nemesis``): a grudge maps a node to the set of nodes
that it drops packets from. Every function is pure. Randomness comes from the caller's seeded
``random.Random``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from jepsenvm.machines.reachability import Groups, Grudge, majority, sorted_groups


def complete_grudge(groups: Iterable[Sequence[str]]) -> Grudge:
    """Return the grudge that separates groups from each other (Jepsen's ``complete-grudge``)."""
    parts = [frozenset(group) for group in groups]
    all_nodes = frozenset().union(*parts)
    return {node: all_nodes - part for part in parts for node in sorted(part)}


def groups_text(groups: Groups) -> str:
    """Return groups as text, such as ``n1 n2 | n3 n4 n5``."""
    return " | ".join(" ".join(group) for group in groups)


def shuffled(nodes: Sequence[str], random: Random) -> list[str]:
    """Return the nodes in a random order."""
    return random.sample(list(nodes), len(nodes))


def halves(nodes: Sequence[str]) -> Groups:
    """Return the nodes cut in the middle, the smaller group first (Jepsen's ``bisect``)."""
    middle = len(nodes) // 2
    return sorted_groups(nodes[:middle], nodes[middle:])


def random_halves(nodes: Sequence[str], random: Random) -> Groups:
    """Return the nodes shuffled and cut in the middle (Jepsen's ``partition-random-halves``)."""
    return halves(shuffled(nodes, random))


def random_node(nodes: Sequence[str], random: Random) -> Groups:
    """Return one node alone, and the others together (Jepsen's ``partition-random-node``)."""
    alone, *others = shuffled(nodes, random)
    return sorted_groups([alone], others)


def same_majority(nodes: Sequence[str]) -> Groups:
    """Return the first nodes that form the smallest majority, and the others."""
    size = majority(len(nodes))
    return sorted_groups(nodes[:size], nodes[size:])


def random_majority(nodes: Sequence[str], random: Random) -> Groups:
    """Return a random majority of random size, and the minority."""
    size = random.randint(majority(len(nodes)), len(nodes) - 1)
    order = shuffled(nodes, random)
    return sorted_groups(order[:size], order[size:])


def random_groups(nodes: Sequence[str], random: Random) -> Groups:
    """Return from two groups up to one per node, none empty (blockade's ``partition --random``)."""
    order = shuffled(nodes, random)
    count = random.randint(2, len(nodes))
    groups: list[list[str]] = [[node] for node in order[:count]]
    for node in order[count:]:
        random.choice(groups).append(node)
    return sorted_groups(*groups)


def bridge(nodes: Sequence[str], random: Random) -> tuple[str, Grudge]:
    """Return a node, and the grudge that separates halves of the others (Jepsen's ``bridge``).

    The node stays connected to both halves.
    """
    between, *others = shuffled(nodes, random)
    return between, complete_grudge(halves(others))


def pair(nodes: Sequence[str], random: Random) -> tuple[str, str, Grudge]:
    """Return two nodes, and the grudge that cuts only the link between them."""
    first, second = sorted(shuffled(nodes, random)[:2])
    return first, second, {first: frozenset({second}), second: frozenset({first})}


def random_minority(nodes: Sequence[str], random: Random) -> tuple[str, ...]:
    """Return random nodes, from one up to half of them."""
    size = random.randint(1, max(1, len(nodes) // 2))
    return tuple(sorted(shuffled(nodes, random)[:size]))


def with_rest(groups: Iterable[Sequence[str]], nodes: Sequence[str]) -> Groups:
    """Return the groups and one more with the remaining nodes, if any (as in blockade)."""
    parts = [tuple(group) for group in groups]
    grouped = frozenset().union(*parts)
    rest = [node for node in nodes if node not in grouped]
    return sorted_groups(*parts, rest) if rest else sorted_groups(*parts)


def isolate(victims: Sequence[str], nodes: Sequence[str]) -> Grudge:
    """Return the grudge that separates each victim from all other nodes, other victims included."""
    return complete_grudge(with_rest([(victim,) for victim in victims], nodes))


def one_way(receivers: Sequence[str], senders: Sequence[str]) -> Grudge:
    """Return the grudge in which receivers drop the senders' packets, but not vice versa."""
    return {node: frozenset(senders) for node in sorted(receivers)}


def rolling_stale(nodes: Sequence[str], random: Random) -> tuple[Groups, Groups, Groups]:
    """Return three partitions of three random parts: {a b | c}, {a | b | c}, {a | b c}.

    The scheme is Balint Pato's. The partitions apply in turn and overlap. c is stale when it joins
    b, and a is stale and alone.
    """
    order = shuffled(nodes, random)
    a, b, c = order[0::3], order[1::3], order[2::3]
    return sorted_groups(a + b, c), sorted_groups(a, b, c), sorted_groups(a, b + c)


def majorities_ring(nodes: Sequence[str], random: Random) -> tuple[list[str], Grudge]:
    """Return the nodes as a ring, and the grudge that connects each node only to its neighbours.

    Each node reaches a majority, and no two nodes reach the same one, as in Jepsen's
    ``majorities-ring``. Unlike Jepsen's, each link works in both directions or not at all, so that
    connections work. If a majority is an even number, each node therefore reaches one more node.
    Three nodes have no such ring.
    """
    count = len(nodes)
    distance = majority(count) // 2
    ring = shuffled(nodes, random)
    reachable = {
        node: {ring[(place + step) % count] for step in range(-distance, distance + 1)}
        for place, node in enumerate(ring)
    }
    return ring, {node: frozenset(nodes) - neighbours for node, neighbours in reachable.items()}
