"""What a kind of fault is made of: what a node does to inject and heal it, and what must be seen to believe it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jepsenvm.machines.action import Action
from jepsenvm.machines.host import Host
from jepsenvm.machines.reachability import cut_pairs
from jepsenvm.nemesis.instance import Fault

Evidence = Mapping[str, Any]
"""What was seen, by the name of the look; each is JSON-able, and stored as the proof (see ``run.look``)."""


@dataclass(frozen=True)
class ConcurrentFaults:
    """What other faults in force explain of what is seen."""

    cut: frozenset[tuple[str, str]] = frozenset()
    """Ordered pairs (from, to) between which another fault may leave nothing but silence."""
    rough: frozenset[tuple[str, str]] = frozenset()
    """Ordered pairs whose packets another fault loses, delays or slows, but still lets through."""
    off: frozenset[str] = frozenset()
    """Nodes that another fault has switched off."""
    mute: frozenset[str] = frozenset()
    """Nodes whose broker another fault keeps from being its normal self."""

    def __or__(self, other: ConcurrentFaults) -> ConcurrentFaults:
        """Return what either explains."""
        return ConcurrentFaults(
            self.cut | other.cut,
            self.rough | other.rough,
            self.off | other.off,
            self.mute | other.mute,
        )

    def silences(self, source: str, node: str) -> bool:
        """Return whether other faults may keep everything from going from one node to another."""
        return (source, node) in self.cut or bool({source, node} & self.off)

    def explains(self, source: str, node: str) -> bool:
        """Return whether what goes from one node to another may be as it is because of other faults."""
        return self.silences(source, node) or (source, node) in self.rough

    def hides(self, fault: Fault) -> bool:
        """Return whether nothing of a fault can be told from what other faults do."""
        cut = cut_pairs(fault.grudge)
        if cut:
            return all(self.explains(source, node) for source, node in cut)
        return bool(fault.nodes) and set(fault.nodes) <= self.off | self.mute

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON-able data, to be stored with what was seen."""
        pairs = {"cut": sorted(map(list, self.cut)), "rough": sorted(map(list, self.rough))}
        return {**pairs, "off": sorted(self.off), "mute": sorted(self.mute)}

    @classmethod
    def of(cls, sights: Evidence) -> ConcurrentFaults:
        """Return what other faults explained when these sights were seen; nothing if that was not stored."""
        told = sights.get("around") or {}
        cut, rough = (frozenset((a, b) for a, b in told.get(key, ())) for key in ("cut", "rough"))
        return cls(cut, rough, frozenset(told.get("off", ())), frozenset(told.get("mute", ())))


Hosts = Mapping[str, Host]
Acts = Callable[[Fault, str, str, Hosts], Sequence[Action]]
"""(fault, its id, node, all hosts) -> what that node does; nothing for a node that the fault leaves alone."""


@dataclass(frozen=True)
class Kind:
    """One kind of fault."""

    inject: Acts
    heal: Acts
    looks: Callable[[Fault], tuple[str, ...]]
    """What is looked at before, during and after it."""
    doubts: Callable[[Fault, Evidence, Evidence, ConcurrentFaults], Iterator[str]]
    """(fault, before, during, around) -> why it is not proven to bite; nothing when it is."""
    leftovers: Callable[[Fault, Evidence, Evidence, ConcurrentFaults], Iterator[str]]
    """(fault, before, after, around) -> what is still broken after healing."""
    sweep: str = ""
    """The script that removes every fault of this kind from a node, from any state, and prints what it removed."""
    needs: Callable[[Fault], tuple[str, ...]] = lambda _: ()
    """The abilities (``faults.abilities``) that the nodes it acts on must have."""
    settles_s: float = 3.0
    """How long it may take until it is seen to bite; what bites at once is looked at again too, on a busy machine."""
    heals_s: float = 20.0
    """How long it may take until it is gone."""
    hidden: Callable[[Fault, ConcurrentFaults], bool] = lambda fault, around: around.hides(fault)
    """Whether other faults keep this one from being seen: then it must be seen at another moment."""
    silences: Callable[[Fault], bool] = lambda _: False
    """Whether it may by itself leave nothing but silence on the links of its grudge; else it makes them rough."""
    lasting: bool = True
    """Whether it stays in force until it is healed, and is looked at again just before; else it is over at once."""
    stops_load: bool = False
    """Whether it means to keep every publisher from being confirmed, so that none is expected meanwhile."""
    from_outside: bool = False
    """Whether nobody on the host itself can do it: whoever keeps the hosts switches it off and on."""
