"""`jepsenvm report`: writes the report of a stored run again."""

from __future__ import annotations

from pathlib import Path

import click

from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import ReportShape
from jepsenvm.cli.slow_bar import shown_if_slow
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
@as_json
def command(path: Path, output: Path | None, *, as_json: bool) -> None:
    """Write the report of a stored run again.

    RUN is the folder of a run, or a history file. The report is one HTML file that needs no
    network. What the run does not have is named in the report, and on stderr. The exit status does
    not depend on the verdict.
    """
    with shown_if_slow("reading the run"):
        target, run = make_report(path, output)
    if as_json:
        verdict = str(run.results.verdict)
        print_json(ReportShape(report=str(target), verdict=verdict, missing=run.missing))
    else:
        click.echo(f"{target}")
    for sentence in run.missing:
        click.echo(f"jepsenvm: {sentence}", err=True)
