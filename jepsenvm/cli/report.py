"""`jepsenvm report`: writes the report of a stored run again."""

from __future__ import annotations

from pathlib import Path

import click

from jepsenvm.experiment.report_file import make_report


@click.command("report")
@click.argument("path", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File to write.  [default: report.html in the folder of the run]",
)
def command(path: Path, output: Path | None) -> None:
    """Write the report of a stored run again.

    RUN is the folder of a run, or a history file. The report is one HTML file that needs no
    network. What the run does not have is named in the report, and on stderr. The exit status does
    not depend on the verdict.
    """
    target, run = make_report(path, output)
    click.echo(f"{target}")
    for sentence in run.missing:
        click.echo(f"jepsenvm: {sentence}", err=True)
