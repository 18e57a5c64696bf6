"""`jepsenvm fault`: faults by hand, from a second terminal or with no run at all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.errors import RunError, UsageError
from jepsenvm.experiment import preflight
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.power import power_of
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.engine import Nemesis
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.manual import FIRST_NUMBER, running, spooled
from jepsenvm.nemesis.probes import probe
from jepsenvm.nemesis.registry import NEMESES, stages
from jepsenvm.nemesis.request import FaultRequest
from jepsenvm.nemesis.status import in_force
from jepsenvm.plan.durations import parse_duration
from jepsenvm.rabbitmq import ctl as broker

UNHEALED_S: Final = 3600
"""A fault without ``--for`` lasts until it is healed by hand, and no longer than this."""


@click.group("fault")
def group() -> None:
    """Make faults by hand; `jepsenvm heal` heals them all."""


@group.command("list")
def list_() -> None:
    """Show every fault, whom it can be told to touch, and its settings with their defaults."""
    table = Table("fault", "whom", "settings", "what it does")
    table.columns[0].no_wrap = True
    for name, recipe in NEMESES.items():
        if recipe is not None:
            settings = " ".join(f"{key}={value:g}" for key, value in recipe.settings.items())
            table.add_row(
                name, {"nothing": ""}.get(recipe.takes, recipe.takes), settings, recipe.about
            )
    _console().print(table)


@group.command("start")
@click.argument("name")
@click.argument("whom", nargs=-1)
@options.inventory
@options.existing
@options.patience
@click.option(
    "--for",
    "lasting",
    metavar="TIME",
    help="Heal after so long (60, 60s, 1m30s); else `jepsenvm heal` does.",
)
@click.option("--ms", type=float, help="Milliseconds of delay.")
@click.option("--jitter", type=float, help="Milliseconds by which the delay varies.")
@click.option(
    "--percent",
    type=float,
    help="Which share of the packets is lost, doubled, reordered or corrupted.",
)
@click.option(
    "--set",
    "more",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other setting of `jepsenvm fault list`.",
)
def start(  # noqa: PLR0913, PLR0917 - each is an option that a user may give
    name: str,
    whom: Sequence[str],
    inventory_path: Path | None,
    patience: float | None,
    lasting: str | None,
    ms: float | None,
    jitter: float | None,
    percent: float | None,
    more: Sequence[str],
    existing: bool,
) -> None:
    """Inject a fault and prove it: `fault start partition n1,n2 n3,n4,n5`, `fault start kill n2 --for 60s`."""
    seconds = None if lasting is None else _time(lasting)
    inventory = inventory_for(inventory_path, existing=existing, patience=patience)
    nodes = [node.name for node in inventory.nodes]
    ask = FaultRequest(
        nodes,
        Random(time.time_ns()),
        **_whom(name, whom),
        settings=_settings(name, {"ms": ms, "jitter": jitter, "percent": percent}, more),
    )
    drawn = stages(name, ask)
    if len(drawn) > 1:
        raise UsageError(
            f"{name} has several stages, and is for schedules", remedy="give its stages one by one"
        )
    preflight.require_allowed(inventory, [drawn[0].fault])
    with Fleet(inventory.nodes, patience=inventory.patience) as fleet:
        _inject(inventory, fleet, drawn[0].fault, seconds)


@group.command("status")
@options.inventory
@options.existing
@options.patience
def status(inventory_path: Path | None, *, existing: bool, patience: float | None) -> None:
    """Show what is in force on every node and since when, and who reaches whom."""
    inventory = inventory_for(inventory_path, existing=existing, patience=patience, may_be_off=True)
    console = _console()
    with Fleet(inventory.nodes, patience=inventory.patience) as fleet:
        table = Table("node", "fault", "whom", "since")
        for node, faults in in_force(fleet).items():
            if isinstance(faults, Exception):
                table.add_row(node, f"cannot be asked: {faults}", "", "")
            elif not faults:
                table.add_row(node, "none", "", "")
            else:
                for one in faults:
                    since = time.strftime("%H:%M:%S", time.localtime(one["since"]))
                    table.add_row(
                        node, f"{one['number']} {one['fault']['name']}", one["fault"]["text"], since
                    )
        console.print(table)
        console.print(_matrix(probe(fleet, preflight.hosts(fleet), ["matrix"], None)["matrix"]))


def _inject(inventory: Inventory, fleet: Fleet, fault: Fault, seconds: float | None) -> None:
    facts = preflight.hosts(fleet)
    preflight.require_capabilities(fleet, inventory, [fault])
    folder = running(inventory)
    if folder:
        click.echo(f"a run is going on, and its history will have this: {folder}")
    nemesis = Nemesis(
        fleet,
        facts,
        spooled(folder),
        seconds or UNHEALED_S,
        _queue(fleet) if fault.role else None,
        power_of(inventory),
    )
    nemesis.prepare()
    number = FIRST_NUMBER + int(time.strftime("%H%M%S"))
    try:
        nemesis.inject(number, fault)
        if seconds is None:
            click.echo(
                f"in force until `jepsenvm heal`, and for {UNHEALED_S / 60:.0f} minutes at most"
            )
            return
        time.sleep(seconds)
    except KeyboardInterrupt:
        click.echo("interrupted: healing")
    nemesis.heal(number)
    if folder is None and not any(in_force(fleet).values()):
        problems = nemesis.end()
        if problems:
            raise RunError(
                f"not healed: {'; '.join(problems)}", remedy="mend that and run `jepsenvm heal`"
            )


def _whom(name: str, whom: Sequence[str]) -> dict[str, Any]:
    recipe = NEMESES.get(name)
    if not whom:
        return {}
    if recipe is not None and recipe.takes == "groups":
        return {"groups": tuple(tuple(group.split(",")) for group in whom)}
    return {"victims": tuple(node for group in whom for node in group.split(","))}


def _settings(
    name: str, short: Mapping[str, float | None], more: Sequence[str]
) -> dict[str, float]:
    """Return the settings under their own names: ``--percent`` is the one that the fault has."""
    recipe = NEMESES.get(name)
    known = recipe.settings if recipe else {}
    percent = next((key for key in known if key.endswith("percent")), "percent")
    names = {"ms": "delay-ms", "jitter": "jitter-ms", "percent": percent}
    given = {names[key]: value for key, value in short.items() if value is not None}
    for word in more:
        key, _, value = word.partition("=")
        try:
            given[key] = float(value)
        except ValueError:
            raise UsageError(f"--set {word}: not KEY=NUMBER") from None
    return given


def _time(text: str) -> float:
    try:
        lasting = parse_duration(text)
    except ValueError as problem:
        raise UsageError(f"--for {text}: {problem}") from None
    if not 0 < lasting < float("inf"):
        raise UsageError(f"--for {text}: must be more than 0 seconds")
    return lasting


def _queue(fleet: Fleet) -> str:
    """Return the newest queue of a run of ours: the one whose leader is meant."""
    names = sorted(
        (
            name
            for name in broker.queues(fleet, next(iter(fleet.nodes)))
            if name.startswith("jepsenvm.")
        ),
        key=lambda name: name.rpartition(".")[0][-15:] + name,
    )
    if not names:
        raise UsageError(
            "no run has a queue whose leader could be meant", remedy="start a run, or name nodes"
        )
    return names[-1]


def _console() -> Console:
    """Return a console that keeps tables whole where nobody's terminal is too narrow for them."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def _matrix(matrix: Mapping[str, Mapping[str, bool | None]]) -> Table:
    marks = {True: "yes", False: "CUT", None: "?"}
    table = Table("from \\ to", *matrix)
    for node, row in matrix.items():
        table.add_row(node, *("-" if peer == node else marks[row.get(peer)] for peer in matrix))
    return table
