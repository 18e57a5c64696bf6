"""`jepsenvm fault`: injects faults by hand, with or without a run in progress."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import FaultKindShape, FaultStartShape, FaultStatusShape
from jepsenvm.errors import printable_line
from jepsenvm.experiment.fault_texts import parse_texts
from jepsenvm.experiment.manual_fault import (
    FaultStatus,
    draw_fault,
    duration_option,
    fault_status,
    parse_settings,
    start_fault,
)
from jepsenvm.machines.reachability import Matrix
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.nemesis.request import NemesisSpec


@click.group("fault")
def group() -> None:
    """Inject faults by hand; `jepsenvm heal` heals them."""


@group.command("list")
@as_json
def list_(*, as_json: bool) -> None:
    """Show every fault, the targets that it takes, and its settings with their defaults."""
    if as_json:
        print_json([_kind(name, spec) for name, spec in NEMESES.items() if spec is not None])
        return
    table = Table("fault", "targets", "settings", "what it does")
    table.columns[0].no_wrap = True
    for name, spec in NEMESES.items():
        if spec is not None:
            targets = "" if spec.takes == "nothing" else spec.takes
            numbers = [f"{key}={value:g}" for key, value in spec.settings.items()]
            texts = [f"{key}={value or '...'}" for key, value in spec.texts.items()]
            settings = " ".join([*numbers, *texts])
            table.add_row(name, targets, settings, spec.about)
    _console().print(table)


def _kind(name: str, spec: NemesisSpec) -> FaultKindShape:
    settings: dict[str, float | str] = {**spec.settings, **spec.texts}
    return FaultKindShape(name=name, takes=spec.takes, settings=settings, about=spec.about)


@group.command("start")
@click.argument("name")
@click.argument("targets", nargs=-1)
@options.inventory
@options.existing
@options.patience
@click.option(
    "--for",
    "duration",
    metavar="TIME",
    help="Heal the fault after this time (60, 60s, 1m30s).  [default: until `jepsenvm heal`]",
)
@click.option("--ms", type=float, metavar="MS", help="Delay in milliseconds.")
@click.option("--jitter", type=float, metavar="MS", help="Variation of the delay in milliseconds.")
@click.option(
    "--percent",
    type=float,
    metavar="P",
    help="Percentage of packets that are lost, duplicated, reordered or corrupted.",
)
@click.option(
    "--set",
    "more",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other setting that `jepsenvm fault list` shows. May be repeated.",
)
@as_json
def start(  # noqa: PLR0913, PLR0917 - one parameter per option of the command
    name: str,
    targets: Sequence[str],
    inventory_path: Path | None,
    patience: float | None,
    duration: str | None,
    ms: float | None,
    jitter: float | None,
    percent: float | None,
    more: Sequence[str],
    existing: bool,
    as_json: bool,
) -> None:
    """Inject a fault and verify that it is in force.

    NAME is a fault of `jepsenvm fault list`. TARGETS are nodes, or groups of nodes separated by
    commas: `fault start partition n1,n2 n3,n4,n5`, `fault start kill n2 --for 60s`. Without targets
    they are drawn.
    """
    seconds = None if duration is None else duration_option(duration)
    inventory = inventory_for(inventory_path, existing=existing, patience=patience)
    settings = parse_settings(name, {"ms": ms, "jitter": jitter, "percent": percent}, more)
    nodes = [node.name for node in inventory.nodes]
    fault = draw_fault(name, targets, settings, nodes, parse_texts(name, more))
    started = start_fault(inventory, fault, seconds)
    if as_json:
        print_json(
            FaultStartShape(
                number=started.number,
                fault=fault.describe(),
                problems=started.problems,
                healed=started.healed,
            )
        )


@group.command("status")
@options.inventory
@options.existing
@options.patience
@as_json
def status(
    inventory_path: Path | None, *, existing: bool, patience: float | None, as_json: bool
) -> None:
    """Show the faults in force on every node, and which nodes reach each other."""
    inventory = inventory_for(inventory_path, existing=existing, patience=patience, may_be_off=True)
    current = fault_status(inventory)
    if as_json:
        faults = {node: _status(faults) for node, faults in current.faults.items()}
        print_json(FaultStatusShape(faults=faults, reachable=current.matrix))
        return
    console = _console()
    console.print(_fault_table(current))
    console.print(_matrix_table(current.matrix))


def _status(faults: list[dict[str, Any]] | Exception) -> list[dict[str, Any]] | None:
    if isinstance(faults, Exception):
        return None
    return [
        {
            "number": entry["number"],
            "name": entry["fault"]["name"],
            "targets": entry["fault"]["text"],
            "since": entry["since"],
        }
        for entry in faults
    ]


def _fault_table(status_of_nodes: FaultStatus) -> Table:
    table = Table("node", "fault", "targets", "since")
    for node, faults in status_of_nodes.faults.items():
        if isinstance(faults, Exception):
            table.add_row(node, _cell(f"no answer: {faults}"), "", "")
        elif not faults:
            table.add_row(node, "none", "", "")
        else:
            for entry in faults:
                fault = entry["fault"]
                since = time.strftime("%H:%M:%S", time.localtime(entry["since"]))
                name = f"{entry['number']} {fault['name']}"
                table.add_row(node, _cell(name), _cell(fault["text"]), since)
    return table


def _matrix_table(matrix: Matrix) -> Table:
    marks = {True: "yes", False: "CUT", None: "?"}
    table = Table("from \\ to", *matrix)
    for node, row in matrix.items():
        table.add_row(node, *("-" if peer == node else marks[row.get(peer)] for peer in matrix))
    return table


def _cell(text: str) -> Text:
    """Return a cell with a text from a host, which is no markup."""
    return Text(printable_line(text))


def _console() -> Console:
    """Return a console that is wide enough for the tables if the output is not a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=160)
