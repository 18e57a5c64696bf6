"""`jepsenvm remove`: removes from every node what jepsenvm installed there."""

from __future__ import annotations

from pathlib import Path

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import deploy_shape
from jepsenvm.experiment.deploy import remove


@click.command("remove")
@options.inventory
@options.patience
@options.ansible_log
@as_json
def command(
    inventory_path: Path | None, *, patience: float | None, log: Path | None, as_json: bool
) -> None:
    """Remove everything that jepsenvm installed, from every node.

    A RabbitMQ that `jepsenvm deploy --adopt` took over gets its configuration and database back. A
    RabbitMQ that jepsenvm did not install is refused. A second removal changes nothing.
    """
    recap = remove(inventory_for(inventory_path, patience=patience), log=log)
    if as_json:
        print_json(deploy_shape(recap, None))
        return
    options.print_recap(recap)
    click.echo(
        f"removed: RabbitMQ and what came with it from {len(recap.nodes)} nodes, "
        f"changed={recap.changed}"
    )
