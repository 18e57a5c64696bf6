"""`jepsenvm hello`: a smoke test of a cluster."""

from __future__ import annotations

from pathlib import Path

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.errors import RunError
from jepsenvm.experiment.hello import hello


@click.command("hello")
@options.inventory
@options.existing
@options.patience
def command(inventory_path: Path | None, *, existing: bool, patience: float | None) -> None:
    """Publish one confirmed message through each node and read it back.

    Each message is read through a node that did not confirm it.
    """
    failed = hello(inventory_for(inventory_path, existing=existing, patience=patience))
    if failed:
        raise RunError(
            f"no hello from {', '.join(failed)}",
            remedy="run `jepsenvm doctor`, or `jepsenvm deploy`",
        )
