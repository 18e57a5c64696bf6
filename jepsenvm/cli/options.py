"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

inventory = click.option(
    "-i",
    "--inventory",
    "inventory_path",
    metavar="INVENTORY",
    type=click.Path(path_type=Path),
    help="An Ansible inventory; without it the VMs of a .vagrant folder, else the lab.",
)
