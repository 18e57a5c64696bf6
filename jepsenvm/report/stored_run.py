"""What a report shows: a run as it is stored, with everything that is missing named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jepsenvm.checkers.verdict import Results
from jepsenvm.history.table import History
from jepsenvm.report.presentation import Presentation


@dataclass(frozen=True)
class StoredRun:
    """One run. A part that the store does not have is empty, and ``missing`` says so."""

    title: str
    results: Results
    presentation: Presentation
    history: History
    plan: str = ""
    """The plan as YAML."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What was tested: RabbitMQ's version, the queue type, the partition handling."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Versions and seeds, by their names for people."""
    nodes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What is known about each node, such as its version and the offset of its clock."""
    clock_offsets: Mapping[str, float] = field(default_factory=dict)
    """Seconds that each node's clock was ahead of the controller's before the load."""
    logs: Mapping[str, Iterable[str]] = field(default_factory=dict)
    """The lines of each node's log; each iterable is read once."""
    incomplete_logs: Mapping[str, str] = field(default_factory=dict)
    """Why lines are missing, by node."""
    began: float | None = None
    """When the history begins, in seconds of the controller's wall clock."""
    missing: Sequence[str] = ()
    """What the store does not have, one sentence each."""
