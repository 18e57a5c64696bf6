"""`jepsenvm explain`: shows the life of a message of a stored run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from jepsenvm.cli.json_option import as_json
from jepsenvm.cli.slow_bar import shown_if_slow
from jepsenvm.errors import UsageError, printable_line, shorten, shown
from jepsenvm.experiment.stored_run import load_run
from jepsenvm.history import edn
from jepsenvm.report.explain import has_several_queues, lives, values_of_kind
from jepsenvm.report.life import Life
from jepsenvm.report.life_text import life_lines


@click.command("explain")
@click.argument("path", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("value", required=False)
@click.option("--lost", "kind", flag_value="lost", help="Explain the lost messages.")
@click.option(
    "--duplicated", "kind", flag_value="duplicated", help="Explain the duplicated messages."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=1000),
    metavar="N",
    default=10,
    show_default=True,
    help="Explain at most N messages with --lost or --duplicated.",
)
@as_json
def command(path: Path, value: str | None, kind: str | None, *, limit: int, as_json: bool) -> None:
    """Show the life of a message, and why it counts as it does.

    RUN is the folder of a run, or a history file. VALUE is the message: an integer, or a value in
    EDN for a history of another program. Its ops are shown beside the faults, the leaders of the
    queue and the notable lines of the brokers' logs.
    """
    if (value is None) == (kind is None):
        raise UsageError(
            "explain needs a VALUE, --lost or --duplicated, and only one of them",
            remedy="name the message, as in `jepsenvm explain store/latest 4711`",
        )
    with shown_if_slow("reading the run"):
        run = load_run(path)
    if has_several_queues(run):
        raise UsageError(
            f"{path}: each message of this run has its own queue or several",
            remedy="see the results of `jepsenvm check`, which name the queues of lost messages",
        )
    values, count = values_of_kind(run, kind) if kind else ([_parsed(value or "")], 1)
    with shown_if_slow("explaining"):
        explained = list(lives(run, values[:limit]))
    if as_json:
        _print_json(explained)
    else:
        _print_lines(explained)
    for sentence in run.missing:
        click.echo(f"jepsenvm: {printable_line(sentence)}", err=True)
    if kind and count > len(explained):
        click.echo(f"jepsenvm: {count:,} messages are {kind}; --limit shows more", err=True)
    if kind and not explained:
        click.echo(f"jepsenvm: no message is {kind}", err=True)


def _parsed(text: str) -> Any:
    try:
        return edn.read(text)
    except edn.EdnError as problem:
        raise UsageError(
            f"VALUE: {shorten(problem)}: {shown(text)}", remedy="give an integer, or a value as EDN"
        ) from None


def _print_json(explained: Iterable[Life]) -> None:
    click.echo(json.dumps([life.as_data() for life in explained], indent=2))


def _print_lines(explained: Iterable[Life]) -> None:
    for number, life in enumerate(explained):
        if number:
            click.echo()
        for line in life_lines(life):
            click.echo(line)
