"""Power switches of hosts. A watchdog process turns a host on again if its controller dies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final


@dataclass(frozen=True)
class Power:
    """The power switch of hosts.

    Each function takes a host's name and raises JepsenvmError if it fails.
    """

    cut: Callable[[str, float], None]
    """Turn a host off without warning. The second argument is a number of seconds: if this process
    ends, the watchdog turns the host on that many seconds later."""
    on: Callable[[str], None]
    """Boot a host and wait until it answers."""
    is_off: Callable[[str], bool]
    """Whether the host exists and is off. A host that was removed is not off."""
    lose: Callable[[str, float], None]
    """Like ``cut``; the host also loses what its RabbitMQ had not synced."""
    own_kernels: bool = False
    """Whether each host has a kernel of its own, and so loses its page cache with its power.

    Otherwise ``lose`` needs a file system of its own under RabbitMQ's data.
    """


_watchdogs: Final[dict[tuple[str, str], subprocess.Popen[bytes]]] = {}
"""The watchdog of each host that is off, by folder and host. The pipe to its standard input closes
when this process ends; the watchdog then starts to count."""


def guarded_power(
    provider: str,
    folder: str,
    *,
    cut: Callable[[str], None],
    lose: Callable[[str], None],
    on: Callable[[str], None],
    is_off: Callable[[str], bool],
    own_kernels: bool = False,
) -> Power:
    """Return a power switch that starts a watchdog before it cuts a host's power.

    ``provider`` and ``folder`` let the watchdog build the same switch in its own process.
    """

    def with_watchdog(turn_off: Callable[[str], None], node: str, seconds: float) -> None:
        _stop_watchdog(folder, node)
        _watchdogs[folder, node] = _start_watchdog(provider, folder, node, seconds)
        turn_off(node)

    def on_without_watchdog(node: str) -> None:
        on(node)
        _stop_watchdog(folder, node)

    return Power(
        cut=partial(with_watchdog, cut),
        lose=partial(with_watchdog, lose),
        on=on_without_watchdog,
        is_off=is_off,
        own_kernels=own_kernels,
    )


def _start_watchdog(
    provider: str, folder: str, node: str, seconds: float
) -> subprocess.Popen[bytes]:
    """Start the process that turns a host on ``seconds`` after this process has ended."""
    arguments = [provider, folder, node, f"{seconds:.0f}"]
    return subprocess.Popen(
        [sys.executable, "-m", "jepsenvm.machines.power_watchdog", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A terminal sends Ctrl-C to its whole process group. The watchdog must survive it.
        start_new_session=True,
    )


def _stop_watchdog(folder: str, node: str) -> None:
    watchdog = _watchdogs.pop((folder, node), None)
    if watchdog:
        watchdog.kill()
        watchdog.wait()
