"""Concurrent faults: what other faults in force do to the evidence about one fault."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Pairs = frozenset[tuple[str, str]]
"""Ordered pairs (from, to) of nodes."""


@dataclass(frozen=True)
class ConcurrentFaults:
    """The effects of other faults that can be mistaken for the effects of the fault under test."""

    cut: Pairs = frozenset()
    """Links on which another fault may leave nothing but silence."""
    rough: Pairs = frozenset()
    """Links on which another fault loses, delays or slows packets but lets some through."""
    off: frozenset[str] = frozenset()
    """Nodes that another fault has powered off."""
    mute: frozenset[str] = frozenset()
    """Nodes on which another fault stops or disturbs the broker."""

    def __or__(self, other: ConcurrentFaults) -> ConcurrentFaults:
        """Return the effects of both."""
        return ConcurrentFaults(
            cut=self.cut | other.cut,
            rough=self.rough | other.rough,
            off=self.off | other.off,
            mute=self.mute | other.mute,
        )

    @classmethod
    def union(cls, effects: Iterable[ConcurrentFaults]) -> ConcurrentFaults:
        """Return the effects of all."""
        total = cls()
        for effect in effects:
            total |= effect
        return total

    def silences(self, source: str, target: str) -> bool:
        """Return whether other faults may stop every packet from one node to another."""
        return (source, target) in self.cut or bool({source, target} & self.off)

    def explains(self, source: str, target: str) -> bool:
        """Return whether other faults may affect packets from one node to another in any way."""
        return self.silences(source, target) or (source, target) in self.rough

    def as_data(self) -> dict[str, Any]:
        """Return JSON-able data, to be stored with the evidence."""
        return {
            "cut": sorted(map(list, self.cut)),
            "rough": sorted(map(list, self.rough)),
            "off": sorted(self.off),
            "mute": sorted(self.mute),
        }

    @classmethod
    def of(cls, evidence: Mapping[str, Any]) -> ConcurrentFaults:
        """Return the concurrent faults stored with evidence; none if it has no such record."""
        data = evidence.get("around") or {}
        return cls(
            cut=frozenset((source, target) for source, target in data.get("cut", ())),
            rough=frozenset((source, target) for source, target in data.get("rough", ())),
            off=frozenset(data.get("off", ())),
            mute=frozenset(data.get("mute", ())),
        )
