"""Options and output that several commands share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from jepsenvm.machines.inventory import LEAST_PATIENCE

if TYPE_CHECKING:
    from jepsenvm.machines.ansible_progress import Recap

GROUP_OPTION: Final = "jepsenvm.group"
"""The key of click's ``Context.meta`` for the value of --group."""


def _refuse_empty(
    _context: click.Context, _option: click.Parameter, path: Path | None
) -> Path | None:
    # An empty text, such as that of an unset variable, would be the current folder.
    if path == Path():
        raise click.BadParameter("it is empty; name a file or a folder, such as ./inventory")
    return path


_inventory = click.option(
    "-i",
    "--inventory",
    "inventory_path",
    metavar="INVENTORY",
    type=click.Path(path_type=Path),
    callback=_refuse_empty,
    help="Ansible inventory, a file or a folder.  "
    "[default: the VMs of the .vagrant folder, else the default lab]",
)


def _keep_group(context: click.Context, _option: click.Parameter, group: str | None) -> None:
    context.meta[GROUP_OPTION] = group


group = click.option(
    "--group",
    metavar="NAME",
    expose_value=False,
    callback=_keep_group,
    help="Group of the inventory that lists the nodes of the cluster.  "
    "[default: jepsenvm_group of the inventory, else `rabbitmq`]",
)


def _pass_to_ansible(_context: click.Context, _option: click.Parameter, file: Path | None) -> None:
    if file is not None:
        os.environ["ANSIBLE_VAULT_PASSWORD_FILE"] = str(file.absolute())


vault = click.option(
    "--vault-password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    expose_value=False,
    callback=_pass_to_ansible,
    help="File with the password of ansible-vault for encrypted values in the inventory.  "
    "[default: ANSIBLE_VAULT_PASSWORD_FILE]",
)

existing = click.option(
    "--existing",
    is_flag=True,
    help="Use a cluster that jepsenvm did not deploy. Nothing is installed or reset, "
    "and only faults that the inventory allows are injected.",
)


def _finite(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    # No comparison with NaN is true, so it passes every range.
    if value is not None and math.isnan(value):
        raise click.BadParameter("must be a number")
    return value


patience = click.option(
    "--patience",
    type=click.FloatRange(min=LEAST_PATIENCE, max=1000),
    callback=_finite,
    metavar="FACTOR",
    help="Factor for every deadline, for slow hosts.  "
    "[default: jepsenvm_patience of the inventory]",
)

ansible_log = click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Append the output of Ansible to this file.",
)

store = click.option(
    "--store",
    "store_root",
    type=click.Path(path_type=Path),
    default=Path("store"),
    show_default=True,
    help="Folder of the store.",
)

no_deploy = click.option(
    "--no-deploy",
    is_flag=True,
    help="Exit with status 254 if the cluster does not match the plan, instead of deploying.",
)


def inventory(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose the inventory."""
    return _inventory(group(vault(command)))


def print_recap(recap: Recap) -> None:
    """Print one line per node about a playbook."""
    for node, counts in recap.nodes.items():
        click.echo(f"{node}: {counts.ok} ok, {counts.changed} changed")
