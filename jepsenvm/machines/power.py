"""Who can switch a host off and on without asking it, by the machines that the hosts are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from jepsenvm.machines import lab
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.vagrant import machines


@dataclass(frozen=True)
class Power:
    """How hosts are switched off without warning, and on again; each takes a host's name, and raises JepsenvmError."""

    cut: Callable[[str, float], None]
    """Also takes how many seconds after this process' end the host must be on again."""
    on: Callable[[str], None]
    is_off: Callable[[str], bool]
    """Whether it is there and switched off; one that was taken down is not."""


_watchdogs: Final[dict[tuple[str, str], subprocess.Popen[bytes]]] = {}
"""By folder and host, as long as the host is off: each begins to count when our end of its pipe is closed."""


def power_of(inventory: Inventory) -> Power | None:
    """Return who switches these hosts, if anybody can."""
    kind = inventory.machines
    return (
        power_at(kind, str(inventory.vars.get(machines.FOLDER, inventory.path.parents[1])))
        if kind in POWER
        else None
    )


def power_at(kind: str, folder: str) -> Power:
    """Return who switches machines of that kind, kept in that folder."""
    return POWER[kind](folder)


def _guarded(
    kind: str,
    folder: str,
    cut: Callable[[str], None],
    on: Callable[[str], None],
    is_off: Callable[[str], bool],
) -> Power:
    """Return who does this, with a watchdog that switches on what is off when this process is gone."""

    def guarded_cut(node: str, seconds: float) -> None:
        _dismiss(folder, node)
        _watchdogs[folder, node] = _watchdog(kind, folder, node, seconds)
        cut(node)

    def guarded_on(node: str) -> None:
        on(node)
        _dismiss(folder, node)

    return Power(guarded_cut, guarded_on, is_off)


def _watchdog(kind: str, folder: str, node: str, seconds: float) -> subprocess.Popen[bytes]:
    """Start what switches the host on so many seconds after this process has ended."""
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jepsenvm.machines.power_watchdog",
            kind,
            folder,
            node,
            f"{seconds:.0f}",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _dismiss(folder: str, node: str) -> None:
    guard = _watchdogs.pop((folder, node), None)
    if guard:
        guard.kill()
        guard.wait()


def _lab_is_off(node: str) -> bool:
    return any(host.name == node and not host.running for host in lab.status())


def _lab(folder: str) -> Power:
    return _guarded("lab", folder, lab.power_cut, lab.power_on, _lab_is_off)


def _vagrant(folder: str) -> Power:
    place = Path(folder)
    acts = (
        partial(machines.cut, place),
        partial(machines.on, place),
        partial(machines.is_off, place),
    )
    return _guarded("vagrant", folder, *acts)


def _silent(*_: Any) -> None:
    """Say nothing: a host that is switched on within a run is told of by the run."""


POWER: Final[Mapping[str, Callable[[str], Power]]] = {"lab": _lab, "vagrant": _vagrant}
"""By ``Inventory.machines``."""
