"""Healing everything that any fault of ours may have left on a node, whoever injected it and from any state."""

from __future__ import annotations

from jepsenvm.faults import deadman, partition


def heal() -> str:
    """Return the script that removes every fault and prints what it removed; run again, it finds nothing to do."""
    return partition.heal()


def heal_and_disarm() -> str:
    """Return the same, followed by stopping the dead man's timers."""
    return f"{heal()}\n{deadman.disarm()}"
