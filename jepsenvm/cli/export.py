"""`jepsenvm export`: writes a history in another format."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from jepsenvm.errors import UsageError, shorten
from jepsenvm.experiment.export import export_to_file
from jepsenvm.experiment.store import history_file
from jepsenvm.history.export import FORMATS
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History

TEXT_FORMATS = ("edn", "jsonl")


@click.command("export")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format", "format_", metavar="FORMAT", required=True, help=f"One of {', '.join(FORMATS)}."
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File to write, or - for stdout.  [default: next to the history]",
)
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
def command(path: Path, format_: str, output: Path | None, force: bool) -> None:
    """Write a history in another format.

    PATH is the folder of a run, or a history file. Jepsen, Knossos and Elle read edn. The formats
    parquet and csv are for analysis; jepsenvm does not read them.
    """
    if format_ not in FORMATS:
        raise UsageError(
            f"--format: unknown format {shorten(format_)!r}", remedy=f"known: {', '.join(FORMATS)}"
        )
    source = history_file(path)
    history = open_history(source)
    if output == Path("-"):
        if format_ not in TEXT_FORMATS:
            raise UsageError(f"{format_} does not go to stdout", remedy="give a file with -o")
        _write_to_stdout(format_, history)
    else:
        target = output or source.with_suffix(f".{format_}")
        export_to_file(history, format_, target, overwrite=force)
        click.echo(f"{target}")
    if not history.complete:
        click.echo(
            "jepsenvm: the history is cut short: its writer ended before it closed the file",
            err=True,
        )


def _write_to_stdout(format_: str, history: History) -> None:
    try:
        FORMATS[format_](history, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The reader, such as head, has exited. Python flushes stdout once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
