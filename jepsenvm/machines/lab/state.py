"""The result of a finished `up`, in the folder of its lab. A lab without it is incomplete."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from jepsenvm.machines.lab.topology import Lab, LabHost, hosts
from jepsenvm.private_files import replace_private


@dataclass(frozen=True)
class State:
    """What a lab consists of."""

    suite: str
    nodes: int
    base: str


def read(lab: Lab) -> State | None:
    """Return the state of a lab; None if it is down or incomplete."""
    return State(**json.loads(lab.state.read_text())) if lab.state.exists() else None


def write(lab: Lab, state: State) -> None:
    """Write the state of a lab, as the last step of its `up`."""
    replace_private(lab.state, json.dumps(asdict(state)))


def hosts_of(lab: Lab) -> list[LabHost]:
    """Return the hosts of a lab; none if it is down or incomplete."""
    state = read(lab)
    return hosts(state.nodes, lab) if state else []
