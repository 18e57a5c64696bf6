"""One experiment from plan to results, with everything that it leaves in the store."""

from __future__ import annotations

import logging

from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.errors import JepsenvmError
from jepsenvm.experiment.existing_cluster import create_virtual_host, remove_virtual_host
from jepsenvm.experiment.interrupt import raise_on_signals
from jepsenvm.experiment.outputs import write_report
from jepsenvm.experiment.phases import execute
from jepsenvm.experiment.prepare import AcceptVersion, Prepared, prepare
from jepsenvm.experiment.run_events import PhaseBegan, Watch, ignore, run_began
from jepsenvm.experiment.run_in_progress import RUN
from jepsenvm.experiment.store import Store
from jepsenvm.machines.cluster_lock import ClusterLock
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.finished_runs import finished_runs, record_finished, run_of_queue
from jepsenvm.rabbitmq.topology_listing import listing

logger = logging.getLogger(__name__)


def run_experiment(
    plan: Plan,
    inventory: Inventory,
    store: Store,
    watch: Watch | None,
    *,
    may_deploy: bool,
    accept_version: AcceptVersion | None = None,
) -> Results:
    """Prepare the cluster, run all phases, and write the results and the report to the store.

    The folder of the run is removed if the run is refused or interrupted before its history begins.
    ``watch`` is told what happens. ``accept_version`` may refuse the version of RabbitMQ, before
    anything is changed (``prepare``).
    """
    tell = watch or ignore
    tell(run_began(plan, inventory))
    tell(PhaseBegan("prepare"))
    try:
        with (
            Fleet(inventory.nodes, patience=inventory.patience) as fleet,
            ClusterLock(fleet, RUN, store.path) as lock,
        ):
            prepared = prepare(
                plan,
                inventory,
                fleet,
                lock,
                may_deploy=may_deploy,
                accept_version=accept_version,
            )
            store.write_plan(prepared.plan)
            if inventory.existing:
                results = _execute_in_virtual_host(prepared, store, watch)
            else:
                store.begin()
                results = _executed(prepared, store, watch)
                finish(fleet, store)
    except BaseException:
        if not store.begun:
            store.discard()
        raise
    tell(PhaseBegan("report"))
    write_report(store, results)
    return results


def finish(fleet: Fleet, store: Store) -> None:
    """Record that a run has its verdict, so that a later run may delete its queues and exchanges.

    Without the record they stay.
    """
    error: JepsenvmError | None = None
    for node in fleet.nodes:
        try:
            _finish_at(fleet, node, store)
        except JepsenvmError as problem:
            error = problem
            continue
        return
    logger.info(f"the queues of this run stay: no node could record its end ({error})")


def _finish_at(fleet: Fleet, node: str, store: Store) -> None:
    listed = listing(fleet, node)
    names = listed.queues | listed.exchanges
    if any(run_of_queue(name) == store.path.name for name in names):
        record_finished(fleet, node, {*finished_runs(fleet, node), store.path.name}, names)


def _executed(prepared: Prepared, store: Store, watch: Watch | None) -> Results:
    try:
        return execute(prepared, store, watch)
    finally:
        raise_on_signals()  # the loop of the phases has removed the handlers


def _execute_in_virtual_host(prepared: Prepared, store: Store, watch: Watch | None) -> Results:
    cluster = prepared.cluster
    created = create_virtual_host(cluster.inventory, cluster.fleet, cluster.credentials)
    store.begin()
    decided = False
    try:
        results = _executed(prepared, store, watch)
        decided = results.verdict is not Verdict.UNKNOWN
        if not (created and decided):
            finish(cluster.fleet, store)
    finally:
        remove_virtual_host(cluster.fleet, created=created, decided=decided)
    return results
