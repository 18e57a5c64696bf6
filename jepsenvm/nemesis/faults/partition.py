"""Partitions: nodes drop the packets of those in their grudge; who still reaches whom is the proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jepsenvm.machines.action import Action
from jepsenvm.machines.reachability import Grudge, cut_pairs, pairs
from jepsenvm.nemesis import iptables as chain
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Hosts, Kind


def inject(fault: Fault, number: str, node: str, hosts: Hosts) -> Sequence[Action]:
    """Drop what comes from those in the node's grudge, and from nobody else."""
    return chain.drop(number, addresses(fault.grudge, node, hosts))


def heal(fault: Fault, number: str, node: str, _: Hosts) -> Sequence[Action]:
    """Drop it no more."""
    return [chain.remove(number)] if fault.grudge.get(node) else []


def addresses(grudge: Grudge, node: str, hosts: Hosts) -> list[str]:
    """Return every address of those in a node's grudge."""
    return [address for peer in sorted(grudge.get(node, ())) for address in hosts[peer].addresses]


def looks(fault: Fault) -> tuple[str, ...]:
    """A connection needs both directions: where only one is cut, datagrams show which."""
    return ("matrix", "datagrams") if one_way(fault.grudge) else ("matrix",)


def doubts(
    fault: Fault, before: Evidence, during: Evidence, around: ConcurrentFaults
) -> Iterator[str]:
    """Yield the pairs that were cut before, that are not cut, or that should not have been."""
    cut = cut_pairs(fault.grudge)
    earlier = ConcurrentFaults.of(before)
    yield from (
        f"{a} could not reach {b} even before"
        for a, b, flows in pairs(before["matrix"])
        if not flows and not earlier.explains(a, b)
    )
    for a, b, flows in pairs(during["matrix"]):
        # Whatever other faults do to a link that this one cuts, nothing may flow there.
        if flows and (a, b) in cut:
            yield f"{a} still reaches {b}"
        elif flows is None and not around.silences(a, b):
            yield f"the probe from {a} to {b} failed"
        elif flows is False and (a, b) not in cut and not around.explains(a, b):
            yield f"{a} cannot reach {b}, which the partition leaves connected"
    yield from _deaf_or_not(one_way(fault.grudge), during.get("datagrams") or {}, around)


def hidden(fault: Fault, around: ConcurrentFaults) -> bool:
    """Return whether other faults silence all that it cuts; what only slows a link does not hide a cut."""
    return all(around.silences(a, b) for a, b in cut_pairs(fault.grudge))


def leftovers(_: Fault, __: Evidence, after: Evidence, around: ConcurrentFaults) -> Iterator[str]:
    """Yield the pairs that are still cut after healing."""
    yield from (
        f"{a} still cannot reach {b} after healing"
        for a, b, flows in pairs(after["matrix"])
        if not flows and not around.explains(a, b)
    )


def one_way(grudge: Grudge) -> frozenset[tuple[str, str]]:
    """Return the ordered pairs (from, to) of which only this direction is cut."""
    cut = {(source, node) for node, dropped in grudge.items() for source in dropped}
    return frozenset((a, b) for a, b in cut if (b, a) not in cut)


def heard(datagrams: Mapping[str, Any], node: str, source: str) -> int | None:
    """Return how many datagrams a node heard from another; None where its probe failed."""
    answer = datagrams.get(node)
    return None if answer is None else int(answer["heard"].get(source, {}).get("count", 0))


def _deaf_or_not(
    cut: frozenset[tuple[str, str]], datagrams: Mapping[str, Any], around: ConcurrentFaults
) -> Iterator[str]:
    for source, node in sorted(cut):
        if around.silences(source, node):
            continue
        if heard(datagrams, node, source) != 0:
            yield f"{node} still hears {source}, or could not be asked"
        if not heard(datagrams, source, node) and not around.explains(node, source):
            yield f"{source} does not hear {node}, which the partition leaves it"


KIND = Kind(
    inject,
    heal,
    looks,
    doubts,
    leftovers,
    sweep=chain.SWEEP,
    needs=lambda _: ("iptables", "ip6tables"),
    hidden=hidden,
    silences=lambda _: True,
)
