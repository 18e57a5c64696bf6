"""Switches a host on again whose power was cut by a controller that has gone since: the host cannot heal itself.

Started by that controller with a pipe as standard input, which ends when the controller does, however that is.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Final

from jepsenvm import lab
from jepsenvm.errors import JepsenvmError

POLL_S: Final = 1.0


def start(node: str, seconds: float) -> subprocess.Popen[bytes]:
    """Start a watchdog that switches the host on so many seconds after this process has ended; keep what it returns."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, node, f"{seconds:.0f}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def watch(node: str, seconds: float) -> None:
    """Wait for the end of standard input, then so long, and switch the host on unless somebody has, or took it down."""
    sys.stdin.buffer.read()
    until = time.monotonic() + seconds
    while _is_off(node):
        if time.monotonic() > until:
            lab.power_on(node, lambda _: None)
            return
        time.sleep(POLL_S)


def _is_off(node: str) -> bool:
    try:
        return any(host.name == node and not host.running for host in lab.status())
    except JepsenvmError:
        return False


if __name__ == "__main__":
    watch(sys.argv[1], float(sys.argv[2]))
