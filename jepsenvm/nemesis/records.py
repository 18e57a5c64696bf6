"""What the nemesis did and saw, as the history keeps it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from jepsenvm.history.journal import Journal
from jepsenvm.history.op import NEMESIS


@dataclass(frozen=True)
class FaultRecord:
    """One phase of one fault."""

    f: str
    phase: str
    number: int
    fault: Mapping[str, object]
    proof: Mapping[str, Any] = field(default_factory=dict)
    """What was seen, by when it was seen: before, during, at-end, after."""
    error: str | None = None
    fired: Mapping[str, float] = field(default_factory=dict)
    """When each node had acted, on the controller's wall clock, in seconds."""
    stops_load: bool = False

    @property
    def skew_ms(self) -> float:
        """Milliseconds between the first node and the last."""
        return (
            round((max(self.fired.values()) - min(self.fired.values())) * 1000, 1)
            if self.fired
            else 0.0
        )

    def as_data(self) -> dict[str, Any]:
        """Return the note as JSON-able data, from which ``Note(**data)`` makes it again."""
        return asdict(self)


Record = Callable[[FaultRecord], None]


def journaled(journal: Journal) -> Record:
    """Return what records notes in a run's history, the nodes' times on its own clock (nanoseconds)."""

    def record(note: FaultRecord) -> None:
        now, wall = journal.now(), time.time()
        fired = {node: now - round((wall - at) * 1e9) for node, at in note.fired.items()}
        data = {
            "phase": note.phase,
            "window": note.number,
            "fault": note.fault,
            "proof": note.proof,
            "fired": fired,
            "skew-ms": note.skew_ms,
            "stops-load": note.stops_load,
        }
        journal.append("info", note.f, process=NEMESIS, data=data, error=note.error)
        journal.flush()

    return record
