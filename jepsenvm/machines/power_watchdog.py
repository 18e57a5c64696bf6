"""Turns a host on again after the controller that cut its power has died.

A host without power cannot heal itself. The controller (guarded_power.py) starts this program with
a pipe as standard input. The pipe closes when the controller ends, however it ends.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from jepsenvm.errors import JepsenvmError
from jepsenvm.machines.power import Power, power_at

POLL_S: Final = 5.0


def watch(power: Power, node: str, seconds: float) -> None:
    """Wait for the end of standard input, then ``seconds``, then turn the host on.

    Return without doing so if the host is on again, or was removed, before that.
    """
    sys.stdin.buffer.read()
    deadline = time.monotonic() + seconds
    # The cut itself takes time, and continues after the controller has died. So a host that is on
    # may still go off, until it was off once.
    was_off = False
    while (off := _is_off(power, node)) or not was_off:
        late = time.monotonic() > deadline
        if late and off:
            power.on(node)
        if late:
            return
        was_off = was_off or off
        time.sleep(min(POLL_S, seconds))


def _is_off(power: Power, node: str) -> bool:
    try:
        return power.is_off(node)
    except JepsenvmError:
        return False


if __name__ == "__main__":
    watch(power_at(sys.argv[1], sys.argv[2]), sys.argv[3], float(sys.argv[4]))
