"""A fault as data: what is to be broken, not how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jepsenvm.machines.reachability import Grudge

Role = Literal["leader", "followers", "replica"]
"""Whom a fault is about, when that is known only at its moment."""


@dataclass(frozen=True)
class Fault:
    """One fault: the nemesis that made it, whom it touches in words, and what its kind needs to know."""

    kind: str
    """Which kind of ``jepsenvm.faults`` makes it real."""
    name: str
    """The nemesis that made it."""
    text: str
    nodes: tuple[str, ...] = ()
    """The nodes that it acts on; for one with a role, all nodes in the order in which followers are chosen."""
    grudge: Grudge = field(default_factory=dict)
    """Whose packets each node drops, loses or slows; empty for faults that are not about packets between nodes."""
    settings: Mapping[str, float | str] = field(default_factory=dict)
    """What else its kind needs: ``percent``, ``delay-ms``, ``way`` ..."""
    role: Role | None = None

    def describe(self) -> str:
        """Return the fault in one line, such as ``partition-random-halves {n1 n2 | n3 n4 n5}``."""
        return f"{self.name} {{{self.text}}}"

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Fault:
        """Return the fault that ``as_data`` told of."""
        grudge = {node: frozenset(dropped) for node, dropped in data["grudge"].items()}
        return cls(
            data["kind"], data["name"], data["text"], tuple(data["nodes"]), grudge, data["settings"]
        )

    def as_data(self) -> Mapping[str, object]:
        """Return the fault as JSON-able data, for the history."""
        grudge = {node: sorted(dropped) for node, dropped in sorted(self.grudge.items())}
        return {
            "kind": self.kind,
            "name": self.name,
            "text": self.text,
            "nodes": list(self.nodes),
            "grudge": grudge,
            "settings": dict(self.settings),
        }
