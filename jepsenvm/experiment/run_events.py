"""What a run tells whoever watches it. A run that nobody watches collects no figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from jepsenvm.checkers.fault_intervals import FaultInterval
from jepsenvm.history.nemesis_records import IN_FORCE
from jepsenvm.machines.inventory import Inventory
from jepsenvm.nemesis.records import FaultRecord
from jepsenvm.plan.plan import Plan
from jepsenvm.report.lanes import label_on_node
from jepsenvm.workloads.figures import Figures

Phase = Literal[
    "prepare", "set up", "load", "heal", "recover", "drain", "collect", "check", "report"
]

FIGURES_EVERY_S: Final = 0.5
"""Seconds between two events with figures."""


@dataclass(frozen=True)
class RunBegan:
    """A run begins; one command may do several."""

    title: str
    nodes: Sequence[str]


@dataclass(frozen=True)
class PhaseBegan:
    """A phase begins, and the one before has ended."""

    phase: Phase
    limit_s: float | None = None
    """The seconds that the phase takes at most; None if it has no limit."""


@dataclass(frozen=True)
class FaultStep:
    """A fault has reached a phase of its own (``history.nemesis_records``)."""

    number: int
    phase: str
    text: str
    """The fault in one line."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What it does to each node that it touches."""
    ends_in_s: float | None = None
    """The seconds until its healing is due; None if no schedule says so."""
    error: str | None = None
    """Why it is not proven."""


@dataclass(frozen=True)
class LoadFigures:
    """What the load did since the figures before."""

    nodes: Figures


RunEvent = RunBegan | PhaseBegan | FaultStep | LoadFigures


def run_began(plan: Plan, inventory: Inventory) -> RunBegan:
    """Return the event of the beginning of a run."""
    nodes = [node.name for node in inventory.nodes]
    return RunBegan(f"{plan.workload}, {plan.queue_type}", nodes)


def fault_step(
    record: FaultRecord, nodes: Sequence[str], ends_in_s: float | None = None
) -> FaultStep:
    """Return the event of a record of the nemesis."""
    fault = record.fault
    interval = FaultInterval(record.number, fault, injected=0, isolates_nodes=record.isolates_nodes)
    # A fault that could not be injected has acted on no node, and gets no further record.
    failed = record.phase == IN_FORCE and not record.fired and record.error is not None
    touched = [] if failed else nodes
    labels = {node: label_on_node(interval, node, nodes) for node in touched}
    return FaultStep(
        number=record.number,
        phase=record.phase,
        text=f"{fault['name']} {{{fault['text']}}}",
        labels={node: label for node, label in labels.items() if label is not None},
        ends_in_s=ends_in_s,
        error=record.error,
    )


Watch = Callable[[RunEvent], None]
"""Is told each event, by any thread. It must be quick, and never fail."""


def ignore(_event: RunEvent) -> None:
    """Do nothing with an event: nobody watches the run."""
