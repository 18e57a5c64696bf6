"""`jepsenvm lab`: local hosts brought up, taken down, looked at and logged in to."""

from __future__ import annotations

import os

import click
from rich.console import Console
from rich.table import Table

from jepsenvm.experiment.lab_in_use import require_unused_lab
from jepsenvm.machines import lab


@click.group("lab")
def group() -> None:
    """Manage Linux hosts on this machine, which need no hypervisor."""


@group.command()
@click.option("--nodes", default=5, show_default=True, help="Number of hosts, 1 to 9.")
@click.option(
    "--suite", default="bookworm", show_default=True, help="Debian or Ubuntu suite of the hosts."
)
def up(nodes: int, suite: str) -> None:
    """Create the lab, or start those of its hosts that are off."""
    inventory = lab.up(nodes, suite)
    click.echo(f"inventory: {inventory}")


@group.command()
@click.option("--force", is_flag=True, help="Remove the lab even if a process uses its hosts.")
def down(*, force: bool) -> None:
    """Remove the lab. The cached base stays.

    A lab that a run or another command uses is refused.
    """
    if not force:
        require_unused_lab()
    lab.down()
    click.echo("the lab is down")


@group.command()
def status() -> None:
    """Show every host, whether it runs and whether it answers."""
    hosts = lab.status()
    if not hosts:
        click.echo("the lab is down")
        return
    table = Table("host", "address", "pid", "power", "ssh")
    for host in hosts:
        table.add_row(
            host.name,
            host.address,
            str(host.pid or "-"),
            "on" if host.running else "off",
            "answers" if host.ssh else "silent",
        )
    Console().print(table)


@group.command(context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(node: str, command: tuple[str, ...]) -> None:
    """Log in to NODE, or run a command in its shell and exit with its status."""
    argv = lab.ssh_argv(node, list(command))
    os.execvp(argv[0], argv)  # noqa: S606 - ssh takes over this process, its terminal and its exit status
