"""Records of the nemesis: what it did and measured, as a run's history keeps it."""

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
    """START, STOP or VIEW of ``history.nemesis_records``."""
    phase: str
    number: int
    fault: Mapping[str, object]
    """The fault as ``Fault.as_data`` returns it."""
    proof: Mapping[str, Any] = field(default_factory=dict)
    """Evidence by the time it was collected: before, during, at-end, after."""
    error: str | None = None
    """Why the fault, or its healing, is not proven."""
    fired: Mapping[str, float] = field(default_factory=dict)
    """The time at which each node had acted, on the controller's wall clock, in seconds."""
    stops_load: bool = False
    isolates_nodes: bool = False
    stops_replicas: bool = False
    endangers_s: float | None = None
    """These three are as ``Fault`` declares them."""

    @property
    def skew_ms(self) -> float:
        """Milliseconds between the first node and the last node to act."""
        if not self.fired:
            return 0.0
        return round((max(self.fired.values()) - min(self.fired.values())) * 1000, 1)

    def as_data(self) -> dict[str, Any]:
        """Return JSON-able data; ``FaultRecord(**data)`` reads it back."""
        return asdict(self)


Recorder = Callable[[FaultRecord], None]
"""Keeps a record."""


def journaled(journal: Journal) -> Recorder:
    """Return a recorder that appends to a run's history and flushes it."""

    def record(entry: FaultRecord) -> None:
        # The history counts nanoseconds since the run began; the nodes use the wall clock.
        now, wall = journal.now(), time.time()
        fired = {node: now - round((wall - at) * 1e9) for node, at in entry.fired.items()}
        data = {
            "phase": entry.phase,
            "window": entry.number,
            "fault": entry.fault,
            "proof": entry.proof,
            "fired": fired,
            "skew-ms": entry.skew_ms,
            "stops-load": entry.stops_load,
            "isolates-nodes": entry.isolates_nodes,
            "stops-replicas": entry.stops_replicas,
            "endangers-s": entry.endangers_s,
        }
        journal.append("info", entry.f, process=NEMESIS, data=data, error=entry.error)
        journal.flush()

    return record
