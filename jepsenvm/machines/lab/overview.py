"""All labs of this machine at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jepsenvm.machines.lab import container, state
from jepsenvm.machines.lab.machine import require_root
from jepsenvm.machines.lab.registry import lab_named, lab_names
from jepsenvm.machines.lab.state import State


@dataclass(frozen=True)
class LabStatus:
    """The status of one lab."""

    name: str
    state: State | None
    """None if the lab is incomplete."""
    running: int
    """The number of its hosts that run."""
    subnet: str
    inventory: Path


def labs() -> list[LabStatus]:
    """Return the status of each lab, also of incomplete ones: the default lab, then by name."""
    require_root()
    found = []
    for lab in map(lab_named, lab_names()):
        running = sum(container.supervisor(host) is not None for host in state.hosts_of(lab))
        found.append(LabStatus(lab.name, state.read(lab), running, str(lab.subnet), lab.inventory))
    return found
