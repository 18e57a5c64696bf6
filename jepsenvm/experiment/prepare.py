"""Preparation of a run: draws its faults, checks the hosts, and deploys RabbitMQ if necessary."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jepsenvm.errors import UsageError
from jepsenvm.experiment import (
    client_access,
    existing_cluster,
    feature_flags,
    flag_faults,
    preflight,
    rolling_upgrade,
)
from jepsenvm.experiment.deploy import install
from jepsenvm.experiment.preflight import ClusterState
from jepsenvm.experiment.version_before_run import version_before_run
from jepsenvm.machines.cluster_lock import ClusterLock
from jepsenvm.machines.facts import Facts
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.schedule import ScheduledFault, schedule
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.credentials import Credentials, credentials

logger = logging.getLogger(__name__)

AcceptVersion = Callable[[str], None]
"""Is told the version of RabbitMQ on the nodes; raises UsageError to refuse it."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that is ready for a run."""

    inventory: Inventory
    fleet: Fleet
    facts: Mapping[str, Facts]
    credentials: Credentials
    lock: ClusterLock | None = None
    """Keeps other processes from using the cluster. None in tests of the phases."""


@dataclass(frozen=True)
class Prepared:
    """Everything that the phases of a run need."""

    plan: Plan
    """The plan of the user. On an existing cluster it has the settings of the cluster."""
    steps: tuple[ScheduledFault, ...]
    """The faults of the run, each with its beginning and end."""
    cluster: Cluster
    versions: Mapping[str, str] = field(default_factory=dict)
    """The version of RabbitMQ on each node."""


def prepare(
    plan: Plan,
    inventory: Inventory,
    fleet: Fleet,
    lock: ClusterLock,
    *,
    may_deploy: bool,
    accept_version: AcceptVersion | None = None,
) -> Prepared:
    """Check the hosts, deploy RabbitMQ if the cluster does not match the plan, and draw the faults.

    Takes the lock of the cluster before anything is changed. An existing cluster is never changed:
    the plan takes over its settings instead. ``accept_version`` is told the version before a
    deployment, as far as it is known by then, and the version that runs before the load. Raises
    UsageError if another process uses the cluster, if a fault is in force, if the hosts or the
    cluster do not support the plan, or if a deployment is needed but not allowed.
    """
    steps = tuple(
        replace(step, fault=preflight.suited(inventory, step.fault))
        for step in schedule(plan, list(fleet.nodes))
    )
    faults = [step.fault for step in steps]
    preflight.require_client_for_each_process(plan, len(fleet.nodes))
    preflight.require_supported_queue_type(plan, faults)
    preflight.require_queue_of_run(plan, faults)
    preflight.require_allowed(inventory, faults)
    rolling_upgrade.require_possible(plan, faults)
    # An inventory of an existing cluster must name a broker user; report a missing one early.
    login = credentials(inventory) if inventory.existing else None
    facts = preflight.connect(fleet)
    lock.take()
    preflight.require_no_fault(fleet)
    preflight.require_capabilities(fleet, inventory, faults)
    state = preflight.cluster_state(fleet)
    if accept_version is not None:
        known = version_before_run(state.settings, fleet, inventory)
        if known is not None:
            accept_version(known)
    rolling_upgrade.require_step(_versions(state).values(), faults)
    if inventory.existing:
        existing_cluster.require_testable(state, inventory)
        plan = existing_cluster.with_settings_in_force(plan, state)
    elif mismatches := _mismatches(state, plan, fleet, inventory):
        _deploy(plan, inventory, mismatches, may_deploy=may_deploy)
        facts = preflight.connect(fleet)
        state = _state_after_deployment(fleet, plan, inventory)
    version = preflight.common_version(state.settings)
    preflight.require_supported_version(plan, version)
    if accept_version is not None:
        accept_version(version)
    preflight.require_broker_capabilities(fleet, faults)
    preflight.require_ready_for_faults(fleet, facts)
    flag_faults.require_enableable(fleet, faults, plan.feature_flags)
    staged = rolling_upgrade.staged(plan, fleet, faults, _versions(state))
    steps = tuple(replace(step, fault=fault) for step, fault in zip(steps, staged, strict=True))
    with rolling_upgrade.discarded_if_refused(fleet, faults):
        feature_flags.enable(plan, fleet, _remedy_if_disabled(inventory, may_deploy=may_deploy))
    logger.info(_summary(plan, version, inventory))
    # A deployment generates the password of the broker user, so it is read last.
    cluster = Cluster(inventory, fleet, facts, login or credentials(inventory), lock)
    return Prepared(plan, steps, cluster, _versions(state))


def _versions(state: ClusterState) -> dict[str, str]:
    return {node: actual.version for node, actual in state.settings.items()}


def _remedy_if_disabled(inventory: Inventory, *, may_deploy: bool) -> str | None:
    """Return the remedy if feature flags may not be enabled; None if they may."""
    if inventory.existing:
        return "enable it with `rabbitmqctl enable_feature_flag`; jepsenvm changes no setting there"
    return None if may_deploy else "run without --no-deploy"


def _deploy(
    plan: Plan, inventory: Inventory, mismatches: Sequence[str], *, may_deploy: bool
) -> None:
    if not may_deploy:
        raise UsageError(
            f"the cluster does not match the plan: {mismatches[0]}",
            remedy="run without --no-deploy",
        )
    logger.info(f"deploying, because {_first_of(mismatches)}")
    variables = {
        "rabbitmq_partition_handling": plan.partition_handling,
        "rabbitmq_net_ticktime": plan.net_ticktime,
    }
    install(inventory, variables)


def _mismatches(state: ClusterState, plan: Plan, fleet: Fleet, inventory: Inventory) -> list[str]:
    """Return why the cluster must be deployed; nothing if it matches the plan and the inventory."""
    mismatches = preflight.config_mismatches(state, plan)
    mismatches += [] if mismatches else client_access.listener_mismatches(state.views, inventory)
    if mismatches:
        return mismatches
    try:
        problems = client_access.certificate_problems(fleet, inventory)
    except UsageError as error:
        return [error.message]
    return [f"{node}: {problem}" for node, problem in problems.items()]


def _state_after_deployment(fleet: Fleet, plan: Plan, inventory: Inventory) -> ClusterState:
    state = preflight.cluster_state(fleet)
    if mismatches := _mismatches(state, plan, fleet, inventory):
        raise UsageError(
            f"the cluster does not match the plan even after a deployment: {_first_of(mismatches)}",
            remedy="run `jepsenvm doctor`",
        )
    return state


def _first_of(mismatches: Sequence[str]) -> str:
    more = f" (and {len(mismatches) - 1} more)" if len(mismatches) > 1 else ""
    return f"{mismatches[0]}{more}"


def _summary(plan: Plan, version: str, inventory: Inventory) -> str:
    nemeses = ", ".join(plan.nemeses) or ("as scheduled" if plan.schedule else "none")
    tls = "" if inventory.broker_ca is None else " with TLS"
    return (
        f"RabbitMQ {version}{tls} on {len(inventory.nodes)} nodes, workload {plan.workload}, "
        f"{plan.queue_type} queue, {plan.partition_handling}, nemesis {nemeses}, seed {plan.seed}"
    )
