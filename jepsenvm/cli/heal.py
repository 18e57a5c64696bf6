"""`jepsenvm heal`: removes every fault of jepsenvm from every node."""

from __future__ import annotations

from pathlib import Path

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import HealShape
from jepsenvm.errors import UsageError
from jepsenvm.experiment.heal import heal
from jepsenvm.nemesis.heal_all import heal_and_disarm


@click.command("heal")
@options.inventory
@options.existing
@options.patience
@click.option(
    "--script",
    is_flag=True,
    help="Print a shell script that heals one node when root runs it there, and do nothing else.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Heal everything even if a run or another command uses the cluster. "
    "The verdict of the run is then unknown.",
)
@as_json
def command(
    inventory_path: Path | None,
    *,
    existing: bool,
    patience: float | None,
    script: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Remove every fault that jepsenvm injected, from every node.

    This works from any state, also after a crash, and prints what was removed. Beside a run of this
    machine it heals only the faults of `jepsenvm fault start`, because the run heals its own. A
    cluster that another run or command uses is refused.
    """
    if script and as_json:
        raise UsageError("--script prints a shell script, not JSON", remedy="drop --json")
    if script:
        click.echo(heal_and_disarm())
        return
    inventory = inventory_for(inventory_path, existing=existing, patience=patience, may_be_off=True)
    healing = heal(inventory, force=force)
    if as_json:
        run = None if healing.run is None else str(healing.run)
        print_json(HealShape(nodes=healing.removed, run=run))
