"""What is shrunk: a plan as a document, and the number of nodes of its cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.plan.field_types import kebab
from jepsenvm.plan.plan import DRAWING_KEYS

Document = Mapping[str, Any]

DRAWN: Final = frozenset(map(kebab, DRAWING_KEYS))
TAIL_S: Final = 5.0
"""Seconds of load that stay after the last fault, and before the first one."""


@dataclass(frozen=True)
class Subject:
    """A plan and the size of its cluster."""

    plan: Document
    nodes: int | None = None
    """None if the cluster is as it is, and cannot be made smaller."""

    @property
    def key(self) -> str:
        """The same for equal subjects."""
        return json.dumps([self.plan, self.nodes], sort_keys=True, default=str)

    @property
    def schedule(self) -> Sequence[Document]:
        """The faults of the plan; none if it draws them."""
        return tuple(self.plan.get("schedule") or ())

    def with_keys(self, **keys: object) -> Subject:
        """Return the subject with other values of plan keys."""
        changed = {kebab(key): value for key, value in keys.items()}
        return Subject({**self.plan, **changed}, self.nodes)

    def describe(self) -> str:
        """Return the size of the subject in one line."""
        plan = self.plan
        faults = f"{len(self.schedule)} faults" if self.schedule else "faults as drawn"
        parts = [
            f"{plan['time-limit']:g} s",
            faults,
            f"{plan['publishers']} publishers per node",
            f"window {plan['window']}",
            f"{plan['consumers']} consumers",
        ]
        return ", ".join([*parts, f"{self.nodes} nodes"] if self.nodes else parts)


def with_faults(document: Document, schedule: Sequence[Document]) -> Document:
    """Return a plan that lists faults instead of drawing them."""
    kept = {key: value for key, value in document.items() if key not in {*DRAWN, "repeat-every"}}
    return {**kept, "schedule": list(schedule)}
