"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from jepsenvm.machines.inventory import LEAST_PATIENCE

_inventory = click.option(
    "-i",
    "--inventory",
    "inventory_path",
    metavar="INVENTORY",
    type=click.Path(path_type=Path),
    help="An Ansible inventory, a file or a folder; without it the VMs of a .vagrant folder, else the lab.",
)


def _hand_to_ansible(_: click.Context, __: click.Parameter, file: Path | None) -> None:
    if file is not None:
        os.environ["ANSIBLE_VAULT_PASSWORD_FILE"] = str(file.absolute())


_vault = click.option(
    "--vault-password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    expose_value=False,
    callback=_hand_to_ansible,
    help="Decrypts what ansible-vault has encrypted in the inventory; else ANSIBLE_VAULT_PASSWORD_FILE.",
)

existing = click.option(
    "--existing",
    is_flag=True,
    help="The cluster is not ours: install and reset nothing, only make the faults that the inventory allows.",
)


def inventory(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which machines are meant."""
    return _inventory(_vault(command))


patience = click.option(
    "--patience",
    type=click.FloatRange(min=LEAST_PATIENCE),
    metavar="FACTOR",
    help="Multiplies every deadline, for slow hosts; without it the inventory's jepsenvm_patience.",
)
