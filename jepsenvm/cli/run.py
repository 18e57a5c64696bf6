"""jepsenvm run: one experiment from plan to verdict."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import click

from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.cli.progress import RunProgress
from jepsenvm.errors import JepsenvmError, UsageError
from jepsenvm.experiment import existing_cluster as guest
from jepsenvm.experiment import preflight
from jepsenvm.experiment.analysis import presentation_of
from jepsenvm.experiment.phases import Cluster, execute
from jepsenvm.experiment.store import LOG, PLAN, REPORT, Store, create
from jepsenvm.history.readers import open_history
from jepsenvm.machines import ansible
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.manual import announced
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.nemesis.schedule import schedule
from jepsenvm.plan.plan import PartitionHandling, Plan
from jepsenvm.plan.queue_types import QueueType
from jepsenvm.plan.reading import read, resolve
from jepsenvm.rabbitmq.credentials import credentials
from jepsenvm.report.html import page
from jepsenvm.report.terminal import verdict_lines
from jepsenvm.workloads.registry import WORKLOADS

logger = logging.getLogger(__name__)


@click.command("run")
@click.argument("plan_path", metavar="[PLAN.yml]", required=False, type=click.Path(path_type=Path))
@options.inventory
@options.existing
@options.patience
@click.option("--workload", type=click.Choice(sorted(WORKLOADS)))
@click.option("--queue-type", type=click.Choice(get_args(QueueType)))
@click.option(
    "--quorum-group-size", type=int, metavar="N", help="How many nodes hold a quorum queue."
)
@click.option("--partition-handling", type=click.Choice(get_args(PartitionHandling)))
@click.option(
    "--net-ticktime", type=int, metavar="S", help="Seconds of silence until a node counts as down."
)
@click.option("--nemesis", type=click.Choice(sorted(NEMESES)))
@click.option("--time-limit", type=float, metavar="S", help="How long the load lasts.")
@click.option("--quiet-before", type=float, metavar="S", help="Quiet time before each fault.")
@click.option("--fault-duration", type=float, metavar="S", help="How long each fault lasts.")
@click.option(
    "--rate",
    type=float,
    metavar="MSGS_PER_S",
    help="Messages a second of all publishers; 0 is flat out.",
)
@click.option("--messages", type=int, metavar="N", help="End the load after so many messages.")
@click.option("--publishers", type=int, metavar="N", help="Publishers for each node.")
@click.option(
    "--window",
    type=int,
    metavar="N",
    help="Unconfirmed messages that each publisher may have in flight.",
)
@click.option("--consumers", type=int, metavar="N", help="Consumers during the load.")
@click.option(
    "--seed", type=int, metavar="N", help="The same seed gives the same ops and the same schedule."
)
@click.option(
    "--set",
    "more",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other key of a plan, such as hold=20.",
)
@click.option("--name", metavar="NAME", help="The run's name in the store.")
@click.option(
    "--store",
    "store_root",
    type=click.Path(path_type=Path),
    default=Path("store"),
    show_default=True,
)
@click.option(
    "--no-deploy",
    is_flag=True,
    help="Refuse, rather than deploy, when the cluster is not as needed.",
)
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - each is an option that a user may give
    context: click.Context,
    /,
    plan_path: Path | None,
    inventory_path: Path | None,
    patience: float | None,
    store_root: Path,
    no_deploy: bool,
    existing: bool,
    more: Sequence[str],
    **overrides: Any,
) -> None:
    """Run an experiment: load the cluster, break it, heal it, drain it, and give a verdict.

    Options override the plan file. The exit status is the verdict: 0 valid, 1 invalid, 2 unknown.
    """
    given = {key.replace("_", "-"): value for key, value in overrides.items() if value is not None}
    plan = _plan(plan_path, {**given, **_more(more)})
    progress = RunProgress()
    context.with_resource(progress.shown())
    inventory = inventory_for(inventory_path, bring_up=True, existing=existing, patience=patience)
    store = create(store_root, plan)
    with (
        progress.kept_in(store.path / LOG),
        Fleet(inventory.nodes, patience=inventory.patience) as fleet,
    ):
        try:
            with announced(inventory, store.path):
                plan, cluster = _fit_cluster(plan, inventory, fleet, may_deploy=not no_deploy)
                if inventory.existing:
                    results = _as_guest(plan, cluster, store, progress)
                else:
                    store.begin()
                    results = execute(plan, cluster, store, progress.load)
        except JepsenvmError:
            if not store.begun:
                store.discard()
            raise
        presentation = presentation_of(WORKLOADS[plan.workload])
        for line in verdict_lines(results, presentation):
            logger.info(line)
        text = page(
            f"{plan.name} {store.path.name}",
            plan.to_yaml(),
            results,
            open_history(store.history),
            presentation,
        )
        logger.info(f"stored in {store.path}, report: {store.write(REPORT, text)}")
    context.exit(results.verdict.exit_status)


def _more(words: Sequence[str]) -> dict[str, object]:
    """Return the keys and values of ``--set``; each value is read as in a plan file."""
    found: dict[str, object] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--set {word}: not KEY=VALUE")
        found.update(read(f"{key}: {value}", f"--set {word}"))
    return found


def _plan(path: Path | None, overrides: Mapping[str, Any]) -> Plan:
    document: Mapping[str, object] = {}
    source = "command line"
    if path is not None:
        source = str(path)
        try:
            document = read(path.read_text(encoding="utf-8"), source)
        except OSError as problem:
            raise UsageError(f"{path}: {problem.strerror}") from None
    seed = {} if "seed" in document else {"seed": secrets.randbelow(2**31)}
    return resolve({**seed, **document, **overrides}, source, WORKLOADS, NEMESES)


def _as_guest(plan: Plan, cluster: Cluster, store: Store, progress: RunProgress) -> Results:
    """Run on a cluster that is not ours, within a virtual host of our own."""
    store.write(PLAN, plan.to_yaml())
    made, decided = (
        guest.move_in(cluster.inventory, cluster.fleet, cluster.credentials),
        False,
    )
    store.begin()
    try:
        results = execute(plan, cluster, store, progress.load)
        decided = results.verdict is not Verdict.UNKNOWN
    finally:
        guest.move_out(cluster.fleet, made=made, decided=decided)
    return results


def _fit_cluster(
    plan: Plan, inventory: Inventory, fleet: Fleet, *, may_deploy: bool
) -> tuple[Plan, Cluster]:
    """Return the cluster as the plan needs it, deployed if it was not, or the plan as a cluster of others needs it.

    Raises UsageError when that cannot be.
    """
    faults = [step.fault for step in schedule(plan, list(fleet.nodes))]
    preflight.require_supported_queue_type(plan, faults)
    preflight.require_allowed(inventory, faults)
    secret = credentials(inventory) if inventory.existing else None
    facts = preflight.hosts(fleet)
    preflight.require_capabilities(fleet, inventory, faults)
    if inventory.existing:
        plan, found = guest.fitted(plan, fleet, inventory), []
    else:
        found = preflight.unlike(fleet, plan)
    if found:
        if not may_deploy:
            raise UsageError(
                f"the cluster is not as the plan needs it: {found[0]}",
                remedy="run without --no-deploy",
            )
        logger.info(
            f"deploying, because {found[0]}"
            + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
        )
        settings = {
            "rabbitmq_partition_handling": plan.partition_handling,
            "rabbitmq_net_ticktime": plan.net_ticktime,
        }
        ansible.play("site.yml", inventory, settings)
        facts = preflight.hosts(fleet)
        found = preflight.unlike(fleet, plan)
        if found:
            raise UsageError(
                f"the cluster is not as the plan needs it even after deploying: {'; '.join(found)}"
            )
    version = preflight.version(fleet)
    preflight.possible(plan, version)
    preflight.fit_for_faults(fleet, facts)
    nemeses = ", ".join(plan.nemeses) or ("as scheduled" if plan.schedule else "none")
    logger.info(
        f"RabbitMQ {version} on {len(inventory.nodes)} nodes, workload {plan.workload}, {plan.queue_type} queue, "
        f"{plan.partition_handling}, nemesis {nemeses}, seed {plan.seed}"
    )
    return plan, Cluster(inventory, fleet, facts, secret or credentials(inventory))
