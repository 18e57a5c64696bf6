"""jepsenvm check: judge a run, or any history, from disk."""

from __future__ import annotations

import json
from pathlib import Path

import click

from jepsenvm.experiment.analysis import judge
from jepsenvm.report.terminal import verdict_lines


@click.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--workload", help="How to judge a foreign history (default: queue).")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.pass_context
def command(context: click.Context, path: Path, workload: str | None, as_json: bool) -> None:
    """Check PATH: a run's folder, or a history file (.arrow, .jsonl, .edn), and exit with its verdict."""
    analysis = judge(path, workload)
    results = analysis.results
    if as_json:
        click.echo(json.dumps(results.as_data(), indent=2, default=str))
    else:
        for line in verdict_lines(results, analysis.presentation):
            click.echo(line)
    context.exit(results.verdict.exit_status)
