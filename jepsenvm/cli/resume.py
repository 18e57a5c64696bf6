"""`jepsenvm resume`: continues a run whose controller was killed, and exits with its verdict."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import run_shape
from jepsenvm.cli.run_progress import RunProgress
from jepsenvm.experiment.resume import UnfinishedRun, resume
from jepsenvm.experiment.run_analysis import presentation_of
from jepsenvm.experiment.store import LOG, REPORT
from jepsenvm.report.terminal import verdict_lines
from jepsenvm.workloads.registry import WORKLOADS

logger = logging.getLogger(__name__)


@click.command("resume")
@click.argument("run_path", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "-i",
    "--inventory",
    "inventory_path",
    metavar="INVENTORY",
    type=click.Path(path_type=Path),
    help="Ansible inventory, a file or a folder.  [default: the inventory of the run]",
)
@options.group
@options.vault
@options.patience
@as_json
@click.pass_context
def command(
    context: click.Context,
    /,
    run_path: Path,
    inventory_path: Path | None,
    patience: float | None,
    as_json: bool,
) -> None:
    """Resume a run whose controller was killed, and exit with its verdict.

    RUN is the folder of the run. The phases are: heal, recover, drain the queue, collect, and check
    the history. What was recorded is not modified. The exit status is 1 for invalid and 2 for
    unknown. A run that was cut short is never valid.
    """
    run = UnfinishedRun.at(run_path)
    progress = RunProgress(stderr=as_json)
    with progress.shown():
        if inventory_path is None:
            # The same file may choose the group by a variable, or the run by --group.
            context.meta[options.GROUP_OPTION] = (
                context.meta.get(options.GROUP_OPTION) or run.resumption.group
            )
        inventory = inventory_for(
            inventory_path or Path(run.resumption.inventory),
            existing=run.resumption.existing,
            patience=patience if patience is not None else run.resumption.patience,
            may_be_off=True,
        )
        store = run.store
        with progress.kept_in(store.path / LOG):
            results = resume(run, inventory, progress.watch)
            for line in verdict_lines(results, presentation_of(WORKLOADS[run.plan.workload])):
                logger.info(line)
            logger.info(f"stored in {store.path}, report: {store.path / REPORT}")
    if as_json:
        print_json(run_shape(store, results))
    context.exit(results.verdict.exit_status)
