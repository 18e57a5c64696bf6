"""Switches a host on again whose power was cut by a controller that has gone since: the host cannot heal itself.

Started by that controller (power.py) with a pipe as standard input, which ends when the controller does, in any way.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from jepsenvm.errors import JepsenvmError
from jepsenvm.machines import power

POLL_S: Final = 5.0


def watch(hosts: power.Power, node: str, seconds: float) -> None:
    """Wait for the end of standard input, then so long, and switch the host on unless somebody has, or took it down."""
    sys.stdin.buffer.read()
    until = time.monotonic() + seconds
    was_off = False  # the cut itself takes time, and goes on when the controller does not
    while (off := _is_off(hosts, node)) or not was_off:
        over = time.monotonic() > until
        if over and off:
            hosts.on(node)
        if over:
            return
        was_off = was_off or off
        time.sleep(min(POLL_S, seconds))


def _is_off(hosts: power.Power, node: str) -> bool:
    try:
        return hosts.is_off(node)
    except JepsenvmError:
        return False


if __name__ == "__main__":
    watch(power.power_at(sys.argv[1], sys.argv[2]), sys.argv[3], float(sys.argv[4]))
