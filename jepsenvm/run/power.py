"""Who can switch a host off and on without asking it, by the machines that the hosts are."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from jepsenvm import lab
from jepsenvm.cluster.inventory import Inventory
from jepsenvm.run import watchdog
from jepsenvm.vagrant import machines


@dataclass(frozen=True)
class Power:
    """How hosts are switched off without warning, and on again; each takes a host's name, and raises JepsenvmError."""

    cut: Callable[[str, float], None]
    """Also takes how many seconds after this process' end the host must be on again."""
    on: Callable[[str], None]
    is_off: Callable[[str], bool]
    """Whether it is there and switched off; one that was taken down is not."""


_watchdogs: Final[list[subprocess.Popen[bytes]]] = []
"""Held as long as this process lives: each ends some time after its end of the pipe has."""


def power_of(inventory: Inventory) -> Power | None:
    """Return who switches these hosts, if anybody can."""
    kind = inventory.machines
    return (
        power_at(kind, str(inventory.vars.get(machines.FOLDER, inventory.path.parents[1]))) if kind in POWER else None
    )


def power_at(kind: str, folder: str) -> Power:
    """Return who switches machines of that kind, kept in that folder."""
    return POWER[kind](folder)


def _guarded(kind: str, folder: str, cut: Callable[[str], None]) -> Callable[[str, float], None]:
    """Return what cuts the power of a host and has it switched on again when this process is gone."""

    def act(node: str, seconds: float) -> None:
        _watchdogs.append(watchdog.start(kind, folder, node, seconds))
        cut(node)

    return act


def _lab_is_off(node: str) -> bool:
    return any(host.name == node and not host.running for host in lab.status())


def _lab(folder: str) -> Power:
    return Power(_guarded("lab", folder, lab.power_cut), partial(lab.power_on, say=_silent), _lab_is_off)


def _vagrant(folder: str) -> Power:
    place = Path(folder)
    cut = _guarded("vagrant", folder, partial(machines.cut, place))
    return Power(cut, partial(machines.on, place), partial(machines.is_off, place))


def _silent(*_: Any) -> None:
    """Say nothing: a host that is switched on within a run is told of by the run."""


POWER: Final[Mapping[str, Callable[[str], Power]]] = {"lab": _lab, "vagrant": _vagrant}
"""By ``Inventory.machines``."""
