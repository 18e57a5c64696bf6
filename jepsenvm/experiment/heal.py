"""Healing by hand: removes every fault from every node, from any state."""

from __future__ import annotations

import logging

from jepsenvm.errors import RunError
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.power import power_of
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.engine import heal_everything, heal_noted
from jepsenvm.nemesis.manual import running, spooled

logger = logging.getLogger(__name__)


def heal(inventory: Inventory) -> None:
    """Switch on hosts that are off, and remove every fault of jepsenvm from every node.

    What was removed is logged. Raises RunError with every node that could not be healed.
    """
    problems = _switch_on(inventory)
    with Fleet(inventory.nodes, patience=inventory.patience) as fleet:
        run = running(inventory)
        if run is not None:
            # The history of the run must record that faults injected by hand are healed.
            try:
                heal_noted(fleet, spooled(run), power_of(inventory))
            except Exception as error:
                # Whatever it is, healing must go on.
                logger.info(f"the faults by hand could not be healed one by one: {error}")
        removed = heal_everything(fleet)
    for node, answer in removed.items():
        if isinstance(answer, Exception):
            problems.append(str(answer))
            continue
        for line in answer or ["nothing to heal"]:
            logger.info(f"{node}: {line}")
    if problems:
        raise RunError(
            f"not healed: {'; '.join(problems)}",
            remedy="repair that and run `jepsenvm heal` again",
        )


def _switch_on(inventory: Inventory) -> list[str]:
    """Switch on the hosts that are off, if the machine provider can; return the errors."""
    power = power_of(inventory)
    if power is None:
        return []
    problems = []
    for node in inventory.nodes:
        try:
            if power.is_off(node.name):
                power.on(node.name)
                logger.info(f"{node.name}: switched on")
        except Exception as error:
            problems.append(str(error))
    return problems
