"""Who can switch a host off and on without asking it, by the machines that the hosts are."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from jepsenvm import lab
from jepsenvm.lab import watchdog


@dataclass(frozen=True)
class Power:
    """How hosts are switched off without warning, and on again; each takes a host's name, and raises JepsenvmError."""

    cut: Callable[[str, float], None]
    """Also takes how many seconds after this process' end the host must be on again."""
    on: Callable[[str], None]
    is_on: Callable[[str], bool]


_watchdogs: Final[list[subprocess.Popen[bytes]]] = []
"""Held as long as this process lives: each ends some time after its end of the pipe has."""


def _cut(node: str, seconds: float) -> None:
    _watchdogs.append(watchdog.start(node, seconds))
    lab.power_cut(node)


def _on(node: str) -> None:
    lab.power_on(node, lambda _: None)


def _is_on(node: str) -> bool:
    return any(host.running for host in lab.status() if host.name == node)


POWER: Final[Mapping[str, Power]] = {"lab": Power(_cut, _on, _is_on)}
"""By ``Inventory.machines``."""
