"""`jepsenvm lab`: local hosts brought up, taken down, looked at and logged in to."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

import click
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table

from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import HostShape, LabDownShape, LabShape, LabUpShape
from jepsenvm.cli.slow_bar import shown_if_slow
from jepsenvm.experiment.lab_in_use import require_unused_lab
from jepsenvm.machines import lab
from jepsenvm.machines.lab.overview import LabStatus

WIDTH: Final = 110
"""Columns of the list of labs."""


def _named(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option for the name of the lab."""
    return click.option(
        "--name",
        default=lab.DEFAULT_NAME,
        show_default=True,
        help="Name of the lab: a lowercase letter and up to 7 lowercase letters or digits.",
    )(command)


@click.group("lab")
def group() -> None:
    """Manage Linux hosts on this machine, which need no hypervisor."""


@group.command()
@_named
@click.option("--nodes", default=5, show_default=True, help="Number of hosts, 1 to 9.")
@click.option(
    "--suite", default="bookworm", show_default=True, help="Debian or Ubuntu suite of the hosts."
)
@as_json
def up(name: str, nodes: int, suite: str, *, as_json: bool) -> None:
    """Create a lab, or start those of its hosts that are off.

    Several labs with different names can be up at once.
    """
    with shown_if_slow("starting the hosts"):
        inventory = lab.up(nodes, suite, name)
    if as_json:
        print_json(LabUpShape(name=name, inventory=str(inventory)))
    else:
        click.echo(f"inventory: {inventory}")


@group.command()
@_named
@click.option("--all", "every", is_flag=True, help="Remove all labs of this machine.")
@click.option("--force", is_flag=True, help="Remove the lab even if a process uses its hosts.")
@as_json
@click.pass_context
def down(context: click.Context, name: str, *, every: bool, force: bool, as_json: bool) -> None:
    """Remove a lab. The cached base stays.

    A lab that a run or another command uses is refused. With --all, nothing is removed if one of
    the labs is in use.
    """
    if every and context.get_parameter_source("name") is not ParameterSource.DEFAULT:
        raise click.UsageError("--all removes the labs of all names; leave out --name")
    names = lab.lab_names() if every else [name]
    if not force:
        for each in names:
            require_unused_lab(each)
    for each in names:
        lab.down(each)
        if not as_json:
            click.echo(f"{lab.title(each)} is down")
    if as_json:
        print_json(LabDownShape(down=names))
    elif not names:
        click.echo("no lab is up")


@group.command("list")
@as_json
def list_(*, as_json: bool) -> None:
    """Show every lab of this machine, with the inventory that selects it for -i."""
    found = lab.labs()
    if as_json:
        print_json(list(map(_lab_shape, found)))
        return
    if not found:
        click.echo("no lab is up")
        return
    table = Table("lab", "suite", "hosts on", "subnet", "inventory")
    for each in found:
        suite, hosts = ("-", "incomplete")
        if each.state is not None:
            suite, hosts = each.state.suite, f"{each.running} of {each.state.nodes}"
        table.add_row(each.name, suite, hosts, each.subnet, str(each.inventory))
    # A path that is cut or wrapped could not be copied.
    Console(width=max(WIDTH, Console().width)).print(table)


def _lab_shape(status: LabStatus) -> LabShape:
    return LabShape(
        name=status.name,
        suite=status.state.suite if status.state else None,
        hosts=status.state.nodes if status.state else None,
        running=status.running,
        subnet=status.subnet,
        inventory=str(status.inventory),
    )


@group.command()
@_named
@as_json
def status(name: str, *, as_json: bool) -> None:
    """Show every host of a lab, whether it runs and whether it answers."""
    hosts = lab.status(name)
    if as_json:
        print_json([HostShape(**asdict(host)) for host in hosts])
        return
    if not hosts:
        click.echo(f"{lab.title(name)} is down")
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


@group.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_named
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(name: str, node: str, command: tuple[str, ...]) -> None:
    """Log in to NODE, or run a command in its shell and exit with its status.

    Every word after NODE belongs to the command, so --name comes before NODE.
    """
    words = list(command[1:] if command[:1] == ("--",) else command)
    argv = lab.ssh_argv(node, words, name)
    os.execvp(argv[0], argv)  # noqa: S606 - ssh takes over this process, its terminal and its exit status
