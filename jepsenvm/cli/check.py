"""`jepsenvm check`: checks a run or any history from disk."""

from __future__ import annotations

import json
from pathlib import Path

import click

from jepsenvm.cli.json_option import as_json
from jepsenvm.cli.slow_bar import shown_if_slow
from jepsenvm.experiment.judge import judge
from jepsenvm.report.terminal import verdict_lines


@click.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--workload",
    metavar="NAME",
    help="Workload whose checkers are applied to a history that is not part of a run.  "
    "[default: queue]",
)
@click.option(
    "--initial",
    metavar="VALUE",
    help="Value, as EDN, with which each register of a history begins (workload register).  "
    "[default: nil]",
)
@as_json
@click.pass_context
def command(
    context: click.Context,
    path: Path,
    *,
    workload: str | None,
    initial: str | None,
    as_json: bool,
) -> None:
    """Check a stored run or a history file, and exit with its verdict.

    PATH is the folder of a run, or a history file (.arrow, .jsonl, .edn). The exit status is 0 for
    valid, 1 for invalid and 2 for unknown.
    """
    with shown_if_slow("checking"):
        analysis = judge(path, workload, initial=initial)
    results = analysis.results
    if as_json:
        click.echo(json.dumps(results.as_data(), indent=2))
    else:
        for line in verdict_lines(results, analysis.presentation):
            click.echo(line)
    context.exit(results.verdict.exit_status)
