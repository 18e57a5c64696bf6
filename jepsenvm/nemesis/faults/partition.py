"""Partition: nodes drop packets from the nodes in their grudge. Reachability is the evidence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, Final, Self

from jepsenvm.errors import UsageError
from jepsenvm.machines.action import Action
from jepsenvm.machines.reachability import (
    Groups,
    Matrix,
    broken_links,
    cut_pairs,
    majority,
    on_ports,
    one_way_pairs,
    pairs,
)
from jepsenvm.nemesis import iptables
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.datagram_evidence import received
from jepsenvm.nemesis.fault import UNMEASURED, Evidence, Fault, Hosts
from jepsenvm.nemesis.grudge import (
    bridge,
    complete_grudge,
    groups_text,
    halves,
    majorities_ring,
    one_way,
    pair,
    random_groups,
    random_halves,
    random_majority,
    random_node,
    rolling_stale,
    same_majority,
    with_rest,
)
from jepsenvm.nemesis.request import FaultRequest, NemesisSpec, Stage, whole

_MIX: Final = ("partitions",)

_OVERLAP: Final = 0.07
"""The time that two stages of the rolling scheme share, as a share of the whole duration."""


class Partition(Fault):
    """Drop every packet from the nodes in each node's grudge."""

    kind = "partition"
    stops_load = "without-majority"
    isolates_nodes = True
    sweep = iptables.SWEEP

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemeses that draw partitions."""
        return {**cls._given(), **cls._symmetric(), **cls._of_links(), **cls._of_roles()}

    @classmethod
    def _given(cls) -> Mapping[str, NemesisSpec]:
        return {
            "partition": NemesisSpec(
                about="separates the given groups (the other nodes form one more group), or applies"
                " the given grudge",
                draw=cls.as_given,
                takes="groups",
                takes_grudge=True,
            )
        }

    @classmethod
    def _symmetric(cls) -> Mapping[str, NemesisSpec]:
        return {
            "partition-halves": NemesisSpec(
                about="separates the first half of the nodes from the others, the same halves each"
                " time",
                draw=cls.first_half,
                mixes=_MIX,
            ),
            "partition-random-halves": NemesisSpec(
                about="separates a random half of the nodes from the others",
                draw=partial(cls.between, random_halves),
                mixes=_MIX,
            ),
            "partition-random-node": NemesisSpec(
                about="isolates one random node",
                draw=partial(cls.between, random_node),
                mixes=("mixed", *_MIX),
            ),
            "partition-same-majority": NemesisSpec(
                about="separates the first nodes that form a majority from the others, the same"
                " nodes each time",
                draw=cls.first_majority,
                fewest_nodes=3,
                mixes=_MIX,
            ),
            "partition-random-majority": NemesisSpec(
                about="separates a random majority, of random size, from the others",
                draw=partial(cls.between, random_majority),
                fewest_nodes=3,
                mixes=_MIX,
            ),
            "partition-random-groups": NemesisSpec(
                about="separates random groups, from two groups up to one per node, like"
                " blockade's `partition --random`",
                draw=partial(cls.between, random_groups),
                mixes=("mixed", *_MIX),
            ),
        }

    @classmethod
    def _of_links(cls) -> Mapping[str, NemesisSpec]:
        return {
            "partition-majorities-ring": NemesisSpec(
                about="leaves each node connected only to its neighbours in a random ring: a"
                " majority, a different one for each node",
                draw=cls.ring,
                fewest_nodes=4,
                mixes=_MIX,
            ),
            "partition-bridge": NemesisSpec(
                about="separates two halves; one node stays connected to both",
                draw=cls.bridge,
                fewest_nodes=3,
                mixes=_MIX,
            ),
            "partition-pair": NemesisSpec(
                about="cuts one random link; its two nodes stay connected to all others",
                draw=cls.pair,
                mixes=_MIX,
            ),
            "partition-one-way": NemesisSpec(
                about="makes the first group, or a random half, drop packets from the second, which"
                " still receives packets from the first",
                draw=cls.one_way,
                takes="groups",
                mixes=_MIX,
            ),
        }

    @classmethod
    def _of_roles(cls) -> Mapping[str, NemesisSpec]:
        return {
            "partition-leader": NemesisSpec(
                about="isolates the node that leads the queue at the moment of injection",
                draw=partial(cls.on_role, role="leader", text="the queue's leader at that moment"),
            ),
            "partition-followers": NemesisSpec(
                about="separates a random minority of the queue's followers from its leader and a"
                " majority",
                draw=partial(
                    cls.on_role,
                    role="followers",
                    text="a minority of the queue's followers at that moment",
                ),
            ),
            "partition-rolling-stale": NemesisSpec(
                about="applies {a b | c}, {a | b | c}, {a | b c} of three random parts in turn,"
                " overlapping, without a heal in between",
                draw=cls.rolling_stale,
                fewest_nodes=3,
            ),
        }

    @classmethod
    def of_groups(cls, groups: Groups) -> Self:
        """Return the partition between groups."""
        return cls.from_grudge(groups_text(groups), complete_grudge(groups))

    @classmethod
    def between(
        cls, draw_groups: Callable[[Sequence[str], Random], Groups], request: FaultRequest
    ) -> tuple[Stage, ...]:
        """Draw groups with a function of ``nemesis.grudge`` and separate them."""
        return whole(cls.of_groups(draw_groups(request.nodes, request.random)))

    @classmethod
    def first_half(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Return the partition of the first half of the nodes from the others."""
        return whole(cls.of_groups(halves(request.nodes)))

    @classmethod
    def first_majority(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Return the partition of the first majority of the nodes from the others."""
        return whole(cls.of_groups(same_majority(request.nodes)))

    @classmethod
    def as_given(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Return the partition of the given groups or of the given grudge.

        Raise UsageError unless exactly one of them is given.
        """
        if bool(request.groups) == any(request.grudge.values()):
            raise UsageError(
                "nemesis: partition needs either groups or a grudge",
                remedy="or use partition-random-groups",
            )
        if request.groups:
            return whole(cls.of_groups(with_rest(request.groups, request.nodes)))
        grudge = {node: frozenset(sources) for node, sources in request.grudge.items() if sources}
        text = "; ".join(
            f"{node} drops {' '.join(sorted(sources))}" for node, sources in sorted(grudge.items())
        )
        return whole(cls.from_grudge(text, grudge))

    @classmethod
    def one_way(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Draw a cut of one direction between the given groups, or between random halves.

        Raise UsageError for more than two groups.
        """
        if len(request.groups) > 2:
            raise UsageError(
                "nemesis: partition-one-way takes two groups:"
                " the nodes that drop packets, then the nodes that sent them"
            )
        if len(request.groups) == 2:
            receivers, senders = request.groups
        elif request.groups:
            receivers, senders = with_rest(request.groups, request.nodes)
        else:
            # The halves come sorted by size. Without this the smaller half would always drop.
            parts = random_halves(request.nodes, request.random)
            receivers, senders = request.random.sample(parts, 2)
        text = f"{' '.join(receivers)} drop packets from {' '.join(senders)}, but not vice versa"
        return whole(cls.from_grudge(text, one_way(receivers, senders)))

    @classmethod
    def bridge(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Draw two halves and a node that stays connected to both."""
        between, grudge = bridge(request.nodes, request.random)
        sides = sorted({tuple(sorted(set(grudge) - sources)) for sources in grudge.values()})
        text = f" + {between} + ".join(" ".join(side) for side in sides)
        return whole(cls.from_grudge(text, grudge))

    @classmethod
    def pair(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Draw one link to cut."""
        first, second, grudge = pair(request.nodes, request.random)
        return whole(cls.from_grudge(f"{first} | {second}, all other links work", grudge))

    @classmethod
    def ring(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Draw a ring of overlapping majorities."""
        ring, grudge = majorities_ring(request.nodes, request.random)
        return whole(cls.from_grudge(f"ring of {' '.join(ring)}", grudge))

    @classmethod
    def rolling_stale(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Draw the three overlapping partitions of the rolling scheme, one stage each."""
        partitions = rolling_stale(request.nodes, request.random)
        return tuple(
            Stage(turn / 3, min(1.0, (turn + 1) / 3 + _OVERLAP), cls.of_groups(groups))
            for turn, groups in enumerate(partitions)
        )

    def inject(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Drop packets from the nodes in the node's grudge."""
        return iptables.drop(fault_id, self.peer_addresses(node, hosts))

    def heal(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Remove the fault's chain."""
        return [iptables.remove(fault_id)] if self.grudge.get(node) else []

    def probes(self) -> tuple[str, ...]:
        """Return the reachability matrix and the ports on which packets do not pass.

        If only one direction of a link is cut, return datagrams as well.

        A connection needs both directions, so the matrix cannot show which direction is cut.
        """
        directions = ("datagrams",) if one_way_pairs(self.grudge) else ()
        return ("matrix", "blocked-ports", *directions)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each link that was cut before, is not cut, or is cut but should not be."""
        cut = cut_pairs(self.grudge)
        concurrent_before = ConcurrentFaults.of(before)
        for source, target, where in self._broken_links(before, concurrent_before):
            yield f"{source} could not reach {target}{where} before the fault"
        yield from _unmeasured(cut, during["matrix"], concurrent)
        for source, target, passes in pairs(during["matrix"]):
            # No packet may pass a link that this fault cuts, whatever other faults do to the link.
            if passes and (source, target) in cut:
                yield f"{source} still reaches {target}"
            elif passes is None and not concurrent.silences(source, target):
                yield f"the probe from {source} to {target} failed"
            elif (
                passes is False
                and (source, target) not in cut
                and not concurrent.explains(source, target)
            ):
                yield f"{source} cannot reach {target}, although the partition keeps that link"
            elif passes and (ports := self._blocked(during, source, target, concurrent)):
                where = on_ports(ports)
                yield (
                    f"{source} cannot reach {target}{where}, although the partition keeps that link"
                )
        yield from self._verify_directions(during.get("datagrams") or {}, concurrent)

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each link that is still cut after healing."""
        yield from _unmeasured(cut_pairs(self.grudge), after["matrix"], concurrent)
        for source, target, where in self._broken_links(after, concurrent):
            yield f"{source} still cannot reach {target}{where} after healing"

    def requirements(self) -> tuple[str, ...]:
        """Return iptables for both versions of IP."""
        return ("iptables", "ip6tables")

    def hidden_by(self, concurrent: ConcurrentFaults) -> bool:
        """Return whether other faults silence every link that this fault cuts.

        A fault that only slows a link does not hide a cut of it.
        """
        return all(concurrent.silences(source, target) for source, target in cut_pairs(self.grudge))

    def resolve(self, leader: str, replicas: Collection[str] = ()) -> Self:
        """Return the partition of the leader, or of a minority of followers, from the others."""
        if self.role is None:
            return self
        members = self.nodes_with_replica(replicas)
        followers = [node for node in members if node != leader]
        # The leader keeps a majority of the replicas. Of two replicas that is impossible.
        minority = max(1, len(members) - majority(len(members)))
        isolated = [leader] if self.role == "leader" else followers[:minority]
        groups = with_rest([isolated], self.nodes)
        return replace(
            self,
            nodes=tuple(sorted(self.nodes)),
            grudge=complete_grudge(groups),
            text=f"{groups_text(groups)}, leader {leader}",
            role=None,
        )

    def _broken_links(
        self, evidence: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[tuple[str, str, str]]:
        """Yield (from, to, ports) for each link that is not whole for no known reason."""
        blocked = {
            source: {target: self._blocked(evidence, source, target, concurrent) for target in row}
            for source, row in evidence["matrix"].items()
        }
        for source, target, ports in broken_links(evidence["matrix"], blocked):
            if not concurrent.explains(source, target):
                yield source, target, ports

    def _blocked(
        self, evidence: Evidence, source: str, target: str, concurrent: ConcurrentFaults
    ) -> Sequence[int]:
        """Return the ports on which packets do not pass, unless other faults may be the reason.

        A broker that a fault stops may leave connections without an answer. Evidence of earlier
        versions has no ports.
        """
        if concurrent.explains(source, target) or target in concurrent.mute:
            return ()
        return (evidence.get("blocked-ports") or {}).get(source, {}).get(target) or ()

    def _verify_directions(
        self, datagrams: Mapping[str, Any], concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each link cut in one direction on which datagrams do not pass exactly the other."""
        for source, node in sorted(one_way_pairs(self.grudge)):
            if concurrent.silences(source, node):
                continue
            count = received(datagrams, node, source)
            if count is None:
                yield f"the probe on {node} failed"
            elif count:
                yield f"{node} still receives packets from {source}"
            if not received(datagrams, source, node) and not concurrent.explains(node, source):
                yield (
                    f"{source} receives no packets from {node},"
                    " although the partition keeps that direction"
                )


def _unmeasured(
    cut: Collection[tuple[str, str]], matrix: Matrix, concurrent: ConcurrentFaults
) -> Iterator[str]:
    """Yield each link of the partition that the matrix does not have."""
    measured = {(source, target) for source, target, _ in pairs(matrix)}
    for source, target in sorted(set(cut) - measured):
        if not concurrent.silences(source, target):
            yield f"the link from {source} to {target} was {UNMEASURED}"
