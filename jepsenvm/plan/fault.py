"""A fault as data: what is to be broken, not how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jepsenvm.plan.grudge import Grudge


@dataclass(frozen=True)
class Fault:
    """One fault: the nemesis that made it, whom it touches in words, and the grudge that it makes real."""

    name: str
    text: str
    grudge: Grudge

    def describe(self) -> str:
        """Return the fault in one line, such as ``partition-random-halves {n1 n2 | n3 n4 n5}``."""
        return f"{self.name} {{{self.text}}}"

    def as_data(self) -> Mapping[str, object]:
        """Return the fault as JSON-able data, for the history."""
        grudge = {node: sorted(dropped) for node, dropped in sorted(self.grudge.items())}
        return {"name": self.name, "text": self.text, "grudge": grudge}
