"""The scripts that prepare a node for faults and that heal every fault on it."""

from __future__ import annotations

from jepsenvm.machines.action import STATE_DIR
from jepsenvm.machines.host import Host
from jepsenvm.nemesis import heal_timer, iptables
from jepsenvm.nemesis.registry import FAULTS


def prepare(host: Host) -> str:
    """Return the shell script that prepares a node for any fault."""
    return f"mkdir -p {STATE_DIR}/faults\nchmod 0700 {STATE_DIR}\n{iptables.prepare(host)}"


def heal() -> str:
    """Return the shell script that removes every fault from a node and prints what it removed.

    It works from any state, and may run repeatedly. If one kind of fault cannot be healed, the
    script still heals the others, and its exit status is 1.
    """
    # A shell ignores `set -e` on the left side of `||`, so the status is tested on its own.
    sweeps = [
        f"(set -e\n{fault.sweep}\n)\n[ $? = 0 ] || failed=1"
        for fault in FAULTS.values()
        if fault.sweep
    ]
    return "\n".join(["failed=0", *sweeps, f"rm -rf {STATE_DIR}/faults", '[ "$failed" = 0 ]'])


def heal_and_disarm() -> str:
    """Return the script of ``heal`` that also stops the heal timers if everything was healed."""
    return f"{heal()} && {{\n{heal_timer.disarm()}\n}}"
