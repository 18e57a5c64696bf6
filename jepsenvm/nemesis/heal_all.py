"""Healing everything that any fault of ours may have left on a node, whoever injected it and from any state."""

from __future__ import annotations

from jepsenvm.machines.action import STATE_DIR
from jepsenvm.machines.host import Host
from jepsenvm.nemesis import heal_timer as deadman
from jepsenvm.nemesis import iptables as chain
from jepsenvm.nemesis.faults.registry import KINDS


def prepare(host: Host) -> str:
    """Return the script that readies a node for any fault."""
    return f"mkdir -p {STATE_DIR}/faults\nchmod 0700 {STATE_DIR}\n{chain.prepare(host)}"


def heal() -> str:
    """Return the script that removes every fault and prints what it removed; run again, it finds nothing to do.

    What goes wrong with one kind of fault does not keep the others from being healed; its exit status tells of it.
    """
    # Not `(...) ||`: a shell ignores `set -e` in what such a list tests.
    parts = [
        f"(set -e\n{kind.sweep}\n)\n[ $? = 0 ] || failed=1" for kind in KINDS.values() if kind.sweep
    ]
    return "\n".join(["failed=0", *parts, f"rm -rf {STATE_DIR}/faults", '[ "$failed" = 0 ]'])


def heal_and_disarm() -> str:
    """Return the same, followed by stopping the dead man's timers if it went well."""
    return f"{heal()} && {{\n{deadman.disarm()}\n}}"
