"""Every nemesis by name: how it makes its next fault for some nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from jepsenvm.errors import Refused
from jepsenvm.plan.fault import Fault
from jepsenvm.plan.grudge import (
    Groups,
    Grudge,
    bridge,
    complete_grudge,
    halves,
    majorities_ring,
    pair,
    random_groups,
    random_halves,
    random_majority,
    random_node,
    same_majority,
)

Cut = tuple[str, Grudge]
"""A partition in words, and its grudge."""


def _cut(groups: Groups) -> Cut:
    return " | ".join(" ".join(group) for group in groups), complete_grudge(groups)


def _bridge(nodes: Sequence[str], random: Random) -> Cut:
    between, grudge = bridge(nodes, random)
    sides = sorted({tuple(sorted(set(grudge) - dropped)) for dropped in grudge.values()})
    return f" + {between} + ".join(" ".join(side) for side in sides), grudge


def _pair(nodes: Sequence[str], random: Random) -> Cut:
    a, b, grudge = pair(nodes, random)
    return f"{a} | {b}, all others see both", grudge


def _ring(nodes: Sequence[str], random: Random) -> Cut:
    ring, grudge = majorities_ring(nodes, random)
    return f"ring of {' '.join(ring)}", grudge


NEMESES: Final[Mapping[str, Callable[[Sequence[str], Random], Cut] | None]] = {
    "none": None,
    "partition-halves": lambda nodes, _: _cut(halves(nodes)),
    "partition-random-halves": lambda nodes, random: _cut(random_halves(nodes, random)),
    "partition-random-node": lambda nodes, random: _cut(random_node(nodes, random)),
    "partition-same-majority": lambda nodes, _: _cut(same_majority(nodes)),
    "partition-random-majority": lambda nodes, random: _cut(random_majority(nodes, random)),
    "partition-random-groups": lambda nodes, random: _cut(random_groups(nodes, random)),
    "partition-majorities-ring": _ring,
    "partition-bridge": _bridge,
    "partition-pair": _pair,
}
"""``none`` makes no faults; the others are partitions, told apart by who may still hear whom."""

FEWEST_NODES: Final[Mapping[str, int]] = {"partition-majorities-ring": 4, "partition-bridge": 3}
"""With fewer nodes than that (two for the others) a nemesis has nothing to cut, or nobody to leave connected."""


def next_fault(nemesis: str, nodes: Sequence[str], random: Random) -> Fault:
    """Return a nemesis' next fault; raise Refused where there are too few nodes for it."""
    fewest = FEWEST_NODES.get(nemesis, 2)
    if len(nodes) < fewest:
        raise Refused(f"nemesis: {nemesis} needs {fewest} nodes or more, and there are {len(nodes)}")
    make = NEMESES[nemesis]
    if make is None:
        raise ValueError(f"{nemesis} makes no faults")
    return Fault(nemesis, *make(nodes, random))
