"""jepsenvm export: a history in another format."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import click

from jepsenvm.errors import RunError, UsageError
from jepsenvm.experiment.store import HISTORY
from jepsenvm.history.export import FORMATS
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History

TEXT = ("edn", "jsonl")


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
    help="Where to (default: beside it); - is stdout.",
)
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
def command(path: Path, format_: str, output: Path | None, force: bool) -> None:
    """Write the history of PATH, a run's folder or a history file, in another format.

    edn is for Jepsen, Knossos and Elle; parquet and csv are for analysis and are not read back.
    """
    if format_ not in FORMATS:
        raise UsageError(
            f"--format: unknown format {format_!r}", remedy=f"known: {', '.join(FORMATS)}"
        )
    source = path / HISTORY if path.is_dir() else path
    if not source.exists():
        raise UsageError(f"{source}: there is no such history")
    history = open_history(source)
    if output == Path("-"):
        if format_ not in TEXT:
            raise UsageError(f"{format_} does not go to stdout", remedy="give a file with -o")
        _to_stdout(FORMATS[format_], history)
    else:
        target = output or source.with_suffix(f".{format_}")
        with _whole_or_not_at_all(target, force=force) as out:
            FORMATS[format_](history, out)
        click.echo(f"{target}")
    if not history.complete:
        click.echo(
            "jepsenvm: the history is cut short: its writer was ended before it closed it", err=True
        )


def _to_stdout(write: Callable[[History, BinaryIO], None], history: History) -> None:
    try:
        write(history, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except (
        BrokenPipeError
    ):  # whoever read it, such as head, has had enough; what Python still flushes goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _whole_or_not_at_all(target: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Open a draft beside the target, which becomes the target when it is whole."""
    if target.exists() and not force:
        raise UsageError(f"{target}: exists already", remedy="choose another -o, or --force")
    draft = target.with_name(f".{target.name}.draft")
    try:
        with draft.open("wb") as out:
            yield out
        draft.replace(target)
    except OSError as problem:
        raise RunError(f"{target}: cannot be written: {problem.strerror or problem}") from None
    finally:
        draft.unlink(missing_ok=True)
