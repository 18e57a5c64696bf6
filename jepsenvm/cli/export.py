"""`jepsenvm export`: writes a history in another format."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import ExportShape
from jepsenvm.cli.slow_bar import shown_if_slow
from jepsenvm.errors import UsageError, shorten
from jepsenvm.experiment.export import CUT_SHORT, export_to_file
from jepsenvm.experiment.jepsen_store import JEPSEN, write_jepsen_store
from jepsenvm.experiment.store import history_file
from jepsenvm.history.export import FORMATS
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History

TEXT_FORMATS = ("edn", "jsonl")
NAMES = (*FORMATS, JEPSEN)


@click.command("export")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format", "format_", metavar="FORMAT", required=True, help=f"One of {', '.join(NAMES)}."
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File to write, or - for stdout; the folder of jepsen.  [default: next to the history]",
)
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
@as_json
def command(path: Path, format_: str, output: Path | None, *, force: bool, as_json: bool) -> None:
    """Write a history in another format.

    PATH is the folder of a run, or a history file. Jepsen, Knossos and Elle read edn. The formats
    parquet and csv are for analysis; jepsenvm does not read them. jepsen writes a folder with the
    files of Jepsen's store: history.edn, results.edn, plots and timeline.html.
    """
    if format_ not in NAMES:
        raise UsageError(
            f"--format: unknown format {shorten(format_)!r}", remedy=f"known: {', '.join(NAMES)}"
        )
    if as_json and output == Path("-"):
        raise UsageError("--json: stdout has the history", remedy="give a file with -o")
    if format_ == JEPSEN:
        _write_folder(path, output, force=force, as_json=as_json)
        return
    source = history_file(path)
    with shown_if_slow("reading the history"):
        history = open_history(source)
    if output == Path("-"):
        if format_ not in TEXT_FORMATS:
            raise UsageError(f"{format_} does not go to stdout", remedy="give a file with -o")
        with shown_if_slow("exporting"):
            _write_to_stdout(format_, history)
    else:
        target = output or source.with_suffix(f".{format_}")
        with shown_if_slow("exporting"):
            export_to_file(history, format_, target, overwrite=force)
        if as_json:
            print_json(ExportShape(file=str(target), format=format_, complete=history.complete))
        else:
            click.echo(f"{target}")
    if not history.complete:
        click.echo(f"jepsenvm: {CUT_SHORT}", err=True)


def _write_folder(path: Path, output: Path | None, *, force: bool, as_json: bool) -> None:
    if output == Path("-"):
        raise UsageError(f"{JEPSEN} is a folder, not a file", remedy="give a folder with -o")
    if force:
        raise UsageError("--force overwrites files only", remedy="remove the folder, or use -o")
    with shown_if_slow("exporting"):
        folder, notes = write_jepsen_store(path, output)
    if as_json:
        complete = CUT_SHORT not in notes
        print_json(ExportShape(file=str(folder), format=JEPSEN, complete=complete))
    else:
        click.echo(f"{folder}")
    for note in notes:
        click.echo(f"jepsenvm: {note}", err=True)


def _write_to_stdout(format_: str, history: History) -> None:
    try:
        FORMATS[format_](history, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The reader, such as head, has exited. Python flushes stdout once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
