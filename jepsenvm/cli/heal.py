"""jepsenvm heal: remove every fault of ours from every node."""

from __future__ import annotations

from pathlib import Path

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.cluster.ssh import Fleet
from jepsenvm.errors import Failed
from jepsenvm.faults import everything


@click.command("heal")
@options.inventory
def command(inventory_path: Path | None) -> None:
    """Remove every fault of ours from every node, from any state, and say what was removed."""
    inventory = inventory_for(inventory_path)
    script = everything.heal_and_disarm()
    with Fleet(inventory.nodes) as fleet:
        answers = fleet.each_or_error(lambda node: fleet.run(node, script))
    failed = []
    for node, answer in answers.items():
        if isinstance(answer, Exception):
            failed.append(str(answer))
            continue
        for line in answer.stdout.splitlines() or ["nothing to heal"]:
            click.echo(f"{node}: {line}")
    if failed:
        raise Failed(f"not healed: {'; '.join(failed)}", remedy="mend that and run `jepsenvm heal` again")
