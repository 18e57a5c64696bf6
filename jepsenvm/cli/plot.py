"""`jepsenvm plot`: writes plots of a stored run for tickets and READMEs."""

from __future__ import annotations

from pathlib import Path

import click

from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import FilesShape
from jepsenvm.cli.slow_bar import shown_if_slow
from jepsenvm.errors import UsageError
from jepsenvm.experiment.plot_files import write_plots


@click.command("plot")
@click.argument("path", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_",
    type=click.Choice(["png", "svg"]),
    default="png",
    show_default=True,
    help="Format of the files.",
)
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the files.  [default: plots in the folder of the run]",
)
@as_json
def command(path: Path, format_: str, output: Path | None, *, as_json: bool) -> None:
    """Write plots of a stored run for tickets and READMEs.

    There are plots of rates, latencies and lost messages. A plot that would say nothing is not
    written. RUN is the folder of a run, or a history file.
    """
    written: list[str] = []
    with shown_if_slow("drawing"):
        for file in write_plots(path, format_, output):
            written.append(str(file))
            if not as_json:
                click.echo(f"{file}")
    if as_json and written:
        print_json(FilesShape(files=written))
    if not written:
        raise UsageError(f"{path}: there is nothing to plot", remedy="see `jepsenvm report`")
