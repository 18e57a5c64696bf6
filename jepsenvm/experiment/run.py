"""One experiment from plan to results, with everything that it leaves in the store."""

from __future__ import annotations

from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.errors import JepsenvmError
from jepsenvm.experiment.analysis import presentation_of
from jepsenvm.experiment.existing_cluster import create_virtual_host, remove_virtual_host
from jepsenvm.experiment.phases import ShowLoad, execute
from jepsenvm.experiment.prepare import Prepared, prepare
from jepsenvm.experiment.store import PLAN, REPORT, Store
from jepsenvm.history.readers import open_history
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.manual import announced
from jepsenvm.plan.plan import Plan
from jepsenvm.report.html import page
from jepsenvm.workloads.registry import WORKLOADS


def run_experiment(
    plan: Plan, inventory: Inventory, store: Store, show_load: ShowLoad, *, may_deploy: bool
) -> Results:
    """Prepare the cluster, run all phases, and write the results and the report to the store.

    The folder of the run is removed if the run is refused before its history begins.
    """
    try:
        with (
            Fleet(inventory.nodes, patience=inventory.patience) as fleet,
            announced(inventory, store.path),
        ):
            prepared = prepare(plan, inventory, fleet, may_deploy=may_deploy)
            store.write(PLAN, prepared.plan.to_yaml())
            if inventory.existing:
                results = _execute_in_virtual_host(prepared, store, show_load)
            else:
                store.begin()
                results = execute(prepared, store, show_load)
    except JepsenvmError:
        if not store.begun:
            store.discard()
        raise
    history = open_history(store.history)
    presentation = presentation_of(WORKLOADS[plan.workload])
    title = f"{plan.name} {store.path.name}"
    store.write(REPORT, page(title, prepared.plan.to_yaml(), results, history, presentation))
    return results


def _execute_in_virtual_host(prepared: Prepared, store: Store, show_load: ShowLoad) -> Results:
    cluster = prepared.cluster
    created = create_virtual_host(cluster.inventory, cluster.fleet, cluster.credentials)
    store.begin()
    decided = False
    try:
        results = execute(prepared, store, show_load)
        decided = results.verdict is not Verdict.UNKNOWN
    finally:
        remove_virtual_host(cluster.fleet, created=created, decided=decided)
    return results
