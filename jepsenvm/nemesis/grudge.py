"""Grudges: who drops whose packets.

The word and the shapes are Jepsen's (``jepsen.nemesis``): a grudge maps a node to the set of nodes whose packets it
drops. Every function here is pure; randomness comes from the caller's seeded ``random.Random``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from jepsenvm.machines.reachability import Groups, Grudge, majority, sorted_groups


def complete_grudge(groups: Iterable[Sequence[str]]) -> Grudge:
    """Return the grudge in which no node hears a node of another group (Jepsen's ``complete-grudge``)."""
    parts = [frozenset(group) for group in groups]
    everyone = frozenset().union(*parts)
    return {node: everyone - part for part in parts for node in sorted(part)}


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
    """Return the first nodes that are just a majority, and the others: the same at every call."""
    return sorted_groups(nodes[: majority(len(nodes))], nodes[majority(len(nodes)) :])


def random_majority(nodes: Sequence[str], random: Random) -> Groups:
    """Return a random majority of random size, and the minority together."""
    size = random.randint(majority(len(nodes)), len(nodes) - 1)
    mixed = shuffled(nodes, random)
    return sorted_groups(mixed[:size], mixed[size:])


def random_groups(nodes: Sequence[str], random: Random) -> Groups:
    """Return the nodes in 2 to all groups, none of them empty (blockade's ``partition --random``)."""
    mixed = shuffled(nodes, random)
    count = random.randint(2, len(nodes))
    groups: list[list[str]] = [[node] for node in mixed[:count]]
    for node in mixed[count:]:
        random.choice(groups).append(node)
    return sorted_groups(*groups)


def bridge(nodes: Sequence[str], random: Random) -> tuple[str, Grudge]:
    """Return a node that hears both sides of a cut, and the grudge of the others (Jepsen's ``bridge``)."""
    between, *others = shuffled(nodes, random)
    grudge = complete_grudge(halves(others))
    return between, grudge


def pair(nodes: Sequence[str], random: Random) -> tuple[str, str, Grudge]:
    """Return two nodes that do not hear each other, and that grudge: one link is cut, nothing else."""
    a, b = sorted(shuffled(nodes, random)[:2])
    return a, b, {a: frozenset({b}), b: frozenset({a})}


def random_minority(nodes: Sequence[str], random: Random) -> tuple[str, ...]:
    """Return 1 to half of the nodes, drawn."""
    size = random.randint(1, max(1, len(nodes) // 2))
    return tuple(sorted(shuffled(nodes, random)[:size]))


def with_rest(groups: Iterable[Sequence[str]], nodes: Sequence[str]) -> Groups:
    """Return the groups, and the nodes of no group together in one more (as blockade does)."""
    parts = [tuple(group) for group in groups]
    named = frozenset().union(*parts)
    rest = [node for node in nodes if node not in named]
    return sorted_groups(*parts, rest) if rest else sorted_groups(*parts)


def isolate(victims: Sequence[str], nodes: Sequence[str]) -> Grudge:
    """Return the grudge in which a victim and any other node, another victim too, do not hear each other."""
    return complete_grudge(with_rest([(victim,) for victim in victims], nodes))


def one_way(deaf: Sequence[str], heard: Sequence[str]) -> Grudge:
    """Return the grudge in which the deaf drop the packets of the others, who still hear them."""
    return {node: frozenset(heard) for node in sorted(deaf)}


def rolling_stale(nodes: Sequence[str], random: Random) -> tuple[Groups, Groups, Groups]:
    """Return three partitions of three random parts, {a b | c}, {a | b | c}, {a | b c} (Balint Pato's).

    Taken one after the other, overlapping, c is behind when it joins b, and a is behind with nobody.
    """
    mixed = shuffled(nodes, random)
    a, b, c = mixed[0::3], mixed[1::3], mixed[2::3]
    return sorted_groups(a + b, c), sorted_groups(a, b, c), sorted_groups(a, b + c)


def majorities_ring(nodes: Sequence[str], random: Random) -> tuple[list[str], Grudge]:
    """Return the nodes as a ring in which each hears only its neighbours, and that grudge.

    Every node hears a majority, and no two the same one, as in Jepsen's ``majorities-ring``; but here whoever hears is
    heard, so that connections work, and where a majority is an even number each hears one node more. Three nodes have
    no such ring.
    """
    count = len(nodes)
    reach = majority(count) // 2
    ring = shuffled(nodes, random)
    hears = {
        node: {ring[(place + step) % count] for step in range(-reach, reach + 1)}
        for place, node in enumerate(ring)
    }
    return ring, {node: frozenset(nodes) - heard for node, heard in hears.items()}
