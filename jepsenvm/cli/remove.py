"""`jepsenvm remove`: take off every node what we put there."""

from __future__ import annotations

from pathlib import Path

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.errors import UsageError
from jepsenvm.machines import ansible
from jepsenvm.nemesis.manual import running


@click.command("remove")
@options.inventory
@options.patience
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Append what Ansible prints to it.",
)
def command(inventory_path: Path | None, *, patience: float | None, log: Path | None) -> None:
    """Take off every node what jepsenvm put there; a second time changes nothing.

    An adopted RabbitMQ gets its configuration and its database back. One of somebody else's is refused.
    """
    inventory = inventory_for(inventory_path, patience=patience)
    run = running(inventory)
    if run is not None:
        raise UsageError(
            f"a run is going on with these machines: {run}", remedy="wait for it, or end it"
        )
    recap = ansible.play("remove.yml", inventory, {}, log)
    for node, counts in recap.nodes.items():
        click.echo(f"{node}: {counts.ok} ok, {counts.changed} changed")
    click.echo(
        f"removed: RabbitMQ and what came with it from {len(recap.nodes)} nodes, changed={recap.changed}"
    )
