"""`jepsenvm run`: runs one experiment from plan to verdict."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import run_shape
from jepsenvm.cli.run_progress import RunProgress
from jepsenvm.experiment.plan_file import parse_overrides, plan_of_new_run
from jepsenvm.experiment.run import run_experiment
from jepsenvm.experiment.run_analysis import presentation_of
from jepsenvm.experiment.store import LOG, REPORT, create
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.plan.plan import PartitionHandling
from jepsenvm.plan.queue_types import QueueType
from jepsenvm.report.terminal import verdict_lines
from jepsenvm.workloads.registry import WORKLOADS

logger = logging.getLogger(__name__)


@click.command("run")
@click.argument("plan_path", metavar="[PLAN.yml]", required=False, type=click.Path(path_type=Path))
@options.inventory
@options.existing
@options.patience
@click.option("--workload", type=click.Choice(sorted(WORKLOADS)), help="Workload of the clients.")
@click.option("--queue-type", type=click.Choice(get_args(QueueType)), help="Type of the queue.")
@click.option(
    "--quorum-group-size", type=int, metavar="N", help="Number of replicas of a quorum queue."
)
@click.option(
    "--partition-handling",
    type=click.Choice(get_args(PartitionHandling)),
    help="Partition handling strategy (before RabbitMQ 4.3).",
)
@click.option(
    "--net-ticktime",
    type=int,
    metavar="S",
    help="Seconds without an answer after which a node counts as down.",
)
@click.option(
    "--nemesis",
    type=click.Choice(sorted(NEMESES)),
    metavar="NAME",
    help="Nemesis that draws the faults: a fault of `jepsenvm fault list`, or none.",
)
@click.option("--time-limit", type=float, metavar="S", help="Duration of the load in seconds.")
@click.option(
    "--quiet-before", type=float, metavar="S", help="Seconds without a fault before each fault."
)
@click.option(
    "--fault-duration", type=float, metavar="S", help="Duration of each fault in seconds."
)
@click.option(
    "--rate",
    type=float,
    metavar="MSGS_PER_S",
    help="Messages per second of all publishers together. 0 is as fast as possible.",
)
@click.option(
    "--messages", type=int, metavar="N", help="End the load after this number of messages."
)
@click.option("--publishers", type=int, metavar="N", help="Publishers per node.")
@click.option(
    "--window", type=int, metavar="N", help="Maximum of unconfirmed messages per publisher."
)
@click.option("--consumers", type=int, metavar="N", help="Consumers during the load.")
@click.option(
    "--seed", type=int, metavar="N", help="The same seed gives the same ops and the same faults."
)
@click.option(
    "--set",
    "more",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other key of a plan, such as hold=20. May be repeated.",
)
@click.option("--name", metavar="NAME", help="Name of the run in the store.")
@options.store
@options.no_deploy
@as_json
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - one parameter per option that is not a key of the plan
    context: click.Context,
    /,
    plan_path: Path | None,
    inventory_path: Path | None,
    patience: float | None,
    store_root: Path,
    no_deploy: bool,
    existing: bool,
    as_json: bool,
    more: Sequence[str],
    **keys: Any,
) -> None:
    """Run an experiment and exit with its verdict.

    The phases are: load the cluster and inject faults, heal, recover, drain the queue, and check
    the history. Options override the keys of PLAN.yml. The exit status is 0 for valid, 1 for
    invalid and 2 for unknown.
    """
    overrides = {key.replace("_", "-"): value for key, value in keys.items() if value is not None}
    plan = plan_of_new_run(plan_path, {**overrides, **parse_overrides(more)})
    progress = RunProgress(stderr=as_json)
    with progress.shown():
        inventory = inventory_for(
            inventory_path, bring_up=True, existing=existing, patience=patience
        )
        store = create(store_root, plan)
        with progress.kept_in(store.path / LOG):
            results = run_experiment(
                plan, inventory, store, progress.watch, may_deploy=not no_deploy
            )
            for line in verdict_lines(results, presentation_of(WORKLOADS[plan.workload])):
                logger.info(line)
            logger.info(f"stored in {store.path}, report: {store.path / REPORT}")
    if as_json:
        print_json(run_shape(store, results))
    context.exit(results.verdict.exit_status)
