"""jepsenvm heal: remove every fault of ours from every node."""

from __future__ import annotations

from pathlib import Path

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.errors import JepsenvmError, RunError
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.power import power_of
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.engine import heal_everything, heal_noted
from jepsenvm.nemesis.heal_all import heal_and_disarm
from jepsenvm.nemesis.manual import running, spooled


@click.command("heal")
@options.inventory
@options.existing
@options.patience
@click.option(
    "--script",
    is_flag=True,
    help="Print the shell script that does it, to be run as root on a node.",
)
def command(
    inventory_path: Path | None, *, existing: bool, patience: float | None, script: bool
) -> None:
    """Remove every fault of ours from every node, from any state, and say what was removed."""
    if script:
        click.echo(heal_and_disarm())
        return
    inventory = inventory_for(inventory_path, existing=existing, patience=patience, may_be_off=True)
    failed = _switched_on(inventory)
    with Fleet(inventory.nodes, patience=inventory.patience) as fleet:
        folder = running(inventory)
        if folder is not None:
            # The run's history is to have the healing of what was done by hand, with its proof.
            heal_noted(fleet, spooled(folder), power_of(inventory))
        answers = heal_everything(fleet)
    for node, answer in answers.items():
        if isinstance(answer, Exception):
            failed.append(str(answer))
            continue
        for line in answer or ["nothing to heal"]:
            click.echo(f"{node}: {line}")
    if failed:
        raise RunError(
            f"not healed: {'; '.join(failed)}", remedy="mend that and run `jepsenvm heal` again"
        )


def _switched_on(inventory: Inventory) -> list[str]:
    """Switch on the hosts that are off, where we can; return what went wrong."""
    power = power_of(inventory)
    problems = []
    for node in inventory.nodes:
        try:
            if power and power.is_off(node.name):
                power.on(node.name)
                click.echo(f"{node.name}: switched on")
        except JepsenvmError as problem:
            problems.append(str(problem))
    return problems
