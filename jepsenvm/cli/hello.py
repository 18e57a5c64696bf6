"""`jepsenvm hello`: a smoke test of a cluster."""

from __future__ import annotations

from pathlib import Path

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import HelloShape
from jepsenvm.errors import RunError
from jepsenvm.experiment.hello import hello


@click.command("hello")
@options.inventory
@options.existing
@options.patience
@as_json
def command(
    inventory_path: Path | None, *, existing: bool, patience: float | None, as_json: bool
) -> None:
    """Publish one confirmed message through each node and read it back.

    Each message is read through a node that did not confirm it.
    """
    inventory = inventory_for(inventory_path, existing=existing, patience=patience)
    failed = hello(inventory)
    if as_json:
        names = [node.name for node in inventory.nodes]
        print_json(HelloShape(nodes={name: name not in failed for name in names}))
    if failed:
        raise RunError(
            f"no hello from {', '.join(failed)}",
            remedy="run `jepsenvm doctor`, or `jepsenvm deploy`",
        )
