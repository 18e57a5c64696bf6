"""The option ``--json``: the result as JSON on stdout, and progress on stderr."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jepsenvm.cli.progress import PlainHandler, shown

if TYPE_CHECKING:
    from jepsenvm.cli.json_shapes import Shape


def _move_progress(context: click.Context, _option: click.Parameter, value: bool) -> bool:
    if value:
        context.with_resource(shown(PlainHandler(err=True), alone=True))
    return value


as_json = click.option(
    "--json",
    "as_json",
    is_flag=True,
    callback=_move_progress,
    help="Print the result as JSON; progress goes to stderr.",
)


def print_json(result: Shape | Sequence[Shape]) -> None:
    """Print the result of a command."""
    data = [one.as_data() for one in result] if isinstance(result, Sequence) else result.as_data()
    click.echo(json.dumps(data, indent=2))
