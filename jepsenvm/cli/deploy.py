"""`jepsenvm deploy`: RabbitMQ on every node of the inventory, clustered and verified."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.machines import ansible
from jepsenvm.machines.ansible_progress import Recap
from jepsenvm.machines.inventory import Inventory
from jepsenvm.plan.plan import PartitionHandling

SOURCES = ("distribution", "repository", "archive", "package")


@click.command("deploy")
@options.inventory
@click.option(
    "--source", "rabbitmq_source", type=click.Choice(SOURCES), help="Where RabbitMQ comes from."
)
@click.option(
    "--version",
    "rabbitmq_version",
    metavar="VERSION",
    help="The RabbitMQ wanted from a repository, or that of a file whose name does not say it.",
)
@click.option(
    "--file", "rabbitmq_file", metavar="FILE", help="The archive or package: a path, or a URL."
)
@click.option(
    "--sha256",
    "rabbitmq_sha256",
    metavar="HEX",
    help="Its SHA-256; a package by path can do without.",
)
@click.option(
    "--partition-handling",
    "rabbitmq_partition_handling",
    type=click.Choice(get_args(PartitionHandling)),
    help="What a partitioned node does (before RabbitMQ 4.3).",
)
@click.option(
    "--net-ticktime",
    "rabbitmq_net_ticktime",
    type=click.IntRange(min=1),
    help="Seconds of silence until a node counts as down.",
)
@click.option(
    "--mirror-count",
    "rabbitmq_mirror_count",
    type=click.IntRange(min=1),
    help="On how many nodes a mirrored queue is kept (before RabbitMQ 4.0).",
)
@options.patience
@click.option(
    "--adopt",
    "jepsenvm_adopt",
    is_flag=True,
    default=None,
    help="Take over a RabbitMQ that jepsenvm did not install; its configuration and database are put aside.",
)
@click.option(
    "--reset",
    is_flag=True,
    help="Wipe the database of every node first, and uninstall a RabbitMQ from another source or newer than wanted.",
)
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Append what Ansible prints to it.",
)
def command(
    inventory_path: Path | None,
    *,
    patience: float | None,
    reset: bool,
    log: Path | None,
    **settings: object,
) -> None:
    """Install and cluster RabbitMQ on every node, and verify it; a second time changes nothing.

    A setting that is not given is the inventory's, else the default.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    if "rabbitmq_file" in given:
        given["rabbitmq_file"] = _absolute(str(given["rabbitmq_file"]))
    deploy(inventory_for(inventory_path, patience=patience), given, reset=reset, log=log)


def deploy(
    inventory: Inventory,
    settings: Mapping[str, object],
    *,
    reset: bool = False,
    log: Path | None = None,
) -> Recap:
    """Deploy, and tell the user how it goes."""
    if reset:
        ansible.play("reset.yml", inventory, settings, log)
    recap = ansible.play("site.yml", inventory, settings, log)
    for node, counts in recap.nodes.items():
        click.echo(f"{node}: {counts.ok} ok, {counts.changed} changed")
    version = recap.stats["rabbitmq_version"]
    click.echo(f"deployed: RabbitMQ {version} on {len(recap.nodes)} nodes, changed={recap.changed}")
    return recap


def _absolute(file: str) -> str:
    """The playbooks are not played in the user's own folder."""
    return file if "://" in file else str(Path(file).expanduser().absolute())
