"""Healing by hand: removes faults from the nodes, from any state."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jepsenvm.errors import RunError, UsageError
from jepsenvm.experiment.run_in_progress import folder_of_run
from jepsenvm.machines.cluster_lock import ClusterLock, held_locks
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.power import power_of
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.engine import heal_everything, heal_noted
from jepsenvm.nemesis.manual import FIRST_NUMBER, spooled
from jepsenvm.nemesis.status import in_force

logger = logging.getLogger(__name__)

FORCE: Final = "`jepsenvm heal --force` heals its faults too, and its verdict is then unknown"


@dataclass(frozen=True)
class Healing:
    """What was healed."""

    removed: Mapping[str, Sequence[str]]
    """What was removed from each node; empty if only faults by hand were healed."""
    run: Path | None = None
    """The folder of the run beside which only the faults by hand were healed."""


def heal(inventory: Inventory, *, force: bool = False) -> Healing:
    """Switch on hosts that are off, and remove every fault of jepsenvm from every node.

    Beside a run of this machine, only the faults by hand are healed: the run heals its own, and its
    verdict depends on that. ``force`` heals everything, whoever uses the cluster.

    What was removed is logged, too. Raises RunError with every node that could not be healed, and
    UsageError if another process uses the cluster.
    """
    with (
        Fleet(inventory.nodes, patience=inventory.patience) as fleet,
        ClusterLock(fleet, "heal") as lock,
    ):
        run = _run_beside(fleet, force=force)
        if run is not None and not force:
            _heal_by_hand(fleet, inventory, run)
            return Healing({}, run)
        if not force:
            lock.take(skip_silent=True)
        problems = switch_on(inventory)
        if run is not None:
            # The history of the run must record that faults injected by hand are healed.
            _heal_noted(fleet, inventory, run)
        answers = heal_everything(fleet)
    problems += _log_healed(answers)
    if problems:
        raise RunError(
            f"not healed: {'; '.join(problems)}",
            remedy="repair that and run `jepsenvm heal` again",
        )
    removed = {node: lines for node, lines in answers.items() if not isinstance(lines, Exception)}
    return Healing(removed)


def _heal_noted(fleet: Fleet, inventory: Inventory, run: Path) -> None:
    try:
        heal_noted(fleet, spooled(run), power_of(inventory))
    except Exception as error:
        # Whatever it is, healing must go on.
        logger.info(f"the faults by hand could not be healed one by one: {error}")


def heal_nodes(fleet: Fleet) -> list[str]:
    """Remove every fault from every node; log what was removed, and return the problems."""
    return _log_healed(heal_everything(fleet))


def _log_healed(answers: Mapping[str, list[str] | Exception]) -> list[str]:
    """Log what was removed from each node; return the problems."""
    problems = []
    for node, answer in answers.items():
        if isinstance(answer, Exception):
            problems.append(str(answer))
            continue
        for line in answer or ["nothing to heal"]:
            logger.info(f"{node}: {line}")
    return problems


def switch_on(inventory: Inventory) -> list[str]:
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


def _run_beside(fleet: Fleet, *, force: bool) -> Path | None:
    """Return the folder of this machine's run that uses the cluster; see ``folder_of_run``."""
    try:
        return folder_of_run(held_locks(fleet), alternative=FORCE)
    except UsageError:
        if not force:
            raise
        return None


def _heal_by_hand(fleet: Fleet, inventory: Inventory, run: Path) -> None:
    """Heal the faults by hand, with records in the history of the run."""
    by_hand = [
        fault
        for faults in in_force(fleet).values()
        for fault in ([] if isinstance(faults, Exception) else faults)
        if fault["number"] >= FIRST_NUMBER
    ]
    if not by_hand:
        raise UsageError(
            f"a run is in progress, and heals its own faults: {run}",
            remedy=f"wait until it ends, or end it; {FORCE}",
        )
    heal_noted(fleet, spooled(run), power_of(inventory))
    logger.info(f"healed the faults by hand; the run heals its own: {run}")
