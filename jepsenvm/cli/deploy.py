"""`jepsenvm deploy`: installs RabbitMQ on every node of the inventory and forms a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import deploy_shape
from jepsenvm.errors import UsageError, printable_line, shown
from jepsenvm.experiment.deploy import deploy
from jepsenvm.plan.plan import PartitionHandling

SOURCES = ("distribution", "repository", "archive", "package")


@click.command("deploy")
@options.inventory
@click.option(
    "--source",
    "rabbitmq_source",
    type=click.Choice(SOURCES),
    help="Where RabbitMQ is installed from.",
)
@click.option(
    "--version",
    "rabbitmq_version",
    metavar="VERSION",
    help="RabbitMQ version to install from a repository, "
    "or the version of a file that does not have it in its name.",
)
@click.option(
    "--file",
    "rabbitmq_file",
    metavar="FILE",
    help="Path or URL of the archive or package to install.",
)
@click.option(
    "--sha256",
    "rabbitmq_sha256",
    metavar="HEX",
    help="SHA-256 checksum of the file. Optional for a package with a local path.",
)
@click.option(
    "--partition-handling",
    "rabbitmq_partition_handling",
    type=click.Choice(get_args(PartitionHandling)),
    help="Partition handling strategy (before RabbitMQ 4.3).",
)
@click.option(
    "--net-ticktime",
    "rabbitmq_net_ticktime",
    type=click.IntRange(min=1, max=3600),
    metavar="S",
    help="Seconds without an answer after which a node counts as down.",
)
@click.option(
    "--mirror-count",
    "rabbitmq_mirror_count",
    type=click.IntRange(min=1, max=99),
    metavar="N",
    help="Number of nodes that hold a mirrored queue (before RabbitMQ 4.0).",
)
@options.patience
@click.option(
    "--adopt",
    "jepsenvm_adopt",
    is_flag=True,
    default=None,
    help="Take over a RabbitMQ that jepsenvm did not install. "
    "Its configuration and database are moved aside.",
)
@click.option(
    "--reset",
    is_flag=True,
    help="First wipe the database of every node, and uninstall a RabbitMQ from another source "
    "or with a newer version than requested.",
)
@options.ansible_log
@as_json
def command(
    inventory_path: Path | None,
    *,
    patience: float | None,
    reset: bool,
    log: Path | None,
    as_json: bool,
    **settings: object,
) -> None:
    """Install RabbitMQ on every node, form a cluster and verify it.

    A second deployment with the same settings changes nothing. A setting that is not given comes
    from the inventory, or is the default.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    if "rabbitmq_file" in given:
        given["rabbitmq_file"] = _absolute(str(given["rabbitmq_file"]))
    inventory = inventory_for(inventory_path, patience=patience)
    recap = deploy(inventory, given, reset=reset, log=log)
    version = printable_line(recap.stats["rabbitmq_version"])
    if as_json:
        print_json(deploy_shape(recap, version))
        return
    options.print_recap(recap)
    click.echo(f"deployed: RabbitMQ {version} on {len(recap.nodes)} nodes, changed={recap.changed}")


def _absolute(file: str) -> str:
    """Return an absolute path: Ansible runs in another working directory."""
    if "://" in file:
        return file
    try:
        return str(Path(file).expanduser().absolute())
    except RuntimeError:
        raise UsageError(
            f"--file is {shown(file)}", remedy="name an existing user after ~"
        ) from None
