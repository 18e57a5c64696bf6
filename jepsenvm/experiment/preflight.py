"""Checks before a run: whether the hosts and the cluster support what the plan asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

from jepsenvm.errors import CommandError, UsageError, message_of, shorten
from jepsenvm.machines.capabilities import capabilities as host_capabilities
from jepsenvm.machines.facts import Facts, facts
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.power import Power, power_of
from jepsenvm.machines.reachability import broken_links
from jepsenvm.machines.reachability_probe import reachability
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.registry import FAULTS, NEMESES
from jepsenvm.nemesis.requirements import BROKER_CAPABILITIES, CAPABILITIES
from jepsenvm.nemesis.status import in_force
from jepsenvm.plan.consumer_keys import CONSUMER_TIMEOUTS
from jepsenvm.plan.message_sizes import size_bounds
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.queue_types import queue_type_spec
from jepsenvm.rabbitmq import cluster_view, node_names
from jepsenvm.rabbitmq import ctl as broker
from jepsenvm.rabbitmq.versions import (
    PARTITION_HANDLING_ENDED,
    largest_message,
    release,
    release_text,
)
from jepsenvm.workloads.registry import WORKLOADS

MEASUREMENTS: Final = 3
"""Measurements of the network that must all find it broken, before a run is refused."""

_BROKER_CAN: Final[Mapping[str, Callable[[Fleet, str], bool]]] = {
    "maintenance-mode": broker.has_maintenance_mode,
}
"""How a node is asked for each of ``BROKER_CAPABILITIES``."""


@dataclass(frozen=True)
class ClusterState:
    """What the nodes answered about their cluster."""

    views: Mapping[str, cluster_view.View | Exception]
    """The cluster as each node sees it, or the error of a node that did not answer."""
    settings: Mapping[str, broker.Settings]
    """The settings in force on each node. Not asked, and empty, if the cluster has a problem."""

    @property
    def problems(self) -> list[str]:
        """Every problem that a node has, or that it sees in the cluster."""
        return _view_problems(self.views)


def cluster_state(fleet: Fleet) -> ClusterState:
    """Ask every node for its view of the cluster, and for its settings if no view shows a problem.

    A run calls this once, and again after a deployment.
    """
    views = fleet.each_or_error(lambda node: cluster_view.view(fleet, node))
    return ClusterState(views, {} if _view_problems(views) else settings(fleet))


def settings(fleet: Fleet) -> dict[str, broker.Settings]:
    """Return the settings in force on every node; raise the first error of a node."""
    return fleet.each(lambda node: broker.settings(fleet, node))


def connect(fleet: Fleet) -> Mapping[str, Facts]:
    """Log in to every node and return its facts; raise UsageError where root is not available."""
    answers = fleet.each_or_error(lambda node: fleet.run(node, "true"))
    for node, error in answers.items():
        if isinstance(error, CommandError):
            raise no_root(node, error)
        if isinstance(error, Exception):
            raise error
    node_names.learn_names(fleet)
    return facts(fleet)


def no_root(node: str, error: CommandError) -> UsageError:
    """Return the error for a node where a command did not run as root."""
    return UsageError(
        f"cannot become root: {error.message}",
        node=node,
        remedy="let the SSH user use sudo without a password, or set ansible_become_password "
        "to the right one",
    )


def require_ready_for_faults(fleet: Fleet, facts_of: Mapping[str, Facts]) -> None:
    """Raise UsageError unless faults can be injected and observed.

    Every node must have the programs that faults need, and reach every other node.
    """
    for node, node_facts in facts_of.items():
        if node_facts.missing:
            programs = ", ".join(node_facts.missing)
            raise UsageError(
                f"has no {programs}",
                node=node,
                remedy=f"install {programs} there, or run `jepsenvm deploy`",
            )
    broken = _broken_links(fleet, facts_of)
    if broken:
        raise UsageError(
            f"the network is broken before any fault: {shorten(', '.join(broken), 200)}",
            remedy="run `jepsenvm heal`, and check firewalls between the nodes "
            "(TCP 4369 and 25672, or the distribution_port of the inventory)",
        )


def _broken_links(fleet: Fleet, facts_of: Mapping[str, Facts]) -> list[str]:
    """Return the links that are not whole in any of a few measurements.

    A single packet may be lost, and a broker may begin to listen between two answers.
    """
    broken: list[str] = []
    for _ in range(MEASUREMENTS):
        now = reachability(fleet, facts_of)
        broken = [
            f"{source} to {target}{ports}"
            for source, target, ports in broken_links(now.matrix, now.blocked)
        ]
        if not broken:
            break
    return broken


def require_no_fault(fleet: Fleet) -> None:
    """Raise UsageError if a fault is in force on a node."""
    for node, faults in in_force(fleet).items():
        if faults and not isinstance(faults, Exception):
            name = faults[0]["fault"]["name"]
            raise UsageError(
                f"a fault is in force before the run: {name}",
                node=node,
                remedy="run `jepsenvm heal`",
            )


def require_capabilities(fleet: Fleet, inventory: Inventory, faults: Iterable[Fault]) -> None:
    """Raise UsageError for the first fault that a node, or the machine provider, cannot inject."""
    faults = list(faults)
    if not faults:
        return
    power = power_of(inventory)
    capabilities = {
        node: {**of_host, **_of_power(power, of_host)}
        for node, of_host in host_capabilities(fleet).items()
    }
    for fault in faults:
        needs = [need for need in fault.requirements() if need in CAPABILITIES]
        for need, node in product(needs, sorted({*fault.nodes, *fault.grudge})):
            if not capabilities[node].get(need, False):
                raise UsageError(
                    f"{fault.name} is not possible here: no {need}",
                    node=node,
                    remedy=CAPABILITIES[need],
                )


def suited(inventory: Inventory, fault: Fault) -> Fault:
    """Return a fault in the form in which an inventory's hosts can have it."""
    return fault.without_power() if power_of(inventory) is None else fault


def _of_power(power: Power | None, of_host: Mapping[str, bool]) -> dict[str, bool]:
    """Return the capabilities of a host that depend on its power switch."""
    own_kernel = power is not None and power.own_kernels
    return {
        "power": power is not None,
        # Without power, a kernel of the host's own loses the page cache of every file system.
        "data-file-system": own_kernel or of_host.get("data-file-system", False),
    }


def require_broker_capabilities(fleet: Fleet, faults: Iterable[Fault]) -> None:
    """Raise UsageError for the first fault that a node's running broker does not support."""
    needs = {
        (need, node): fault
        for fault in reversed(list(faults))
        for need in fault.requirements()
        if need in BROKER_CAPABILITIES
        for node in sorted(fault.nodes)
    }
    for (need, node), fault in needs.items():
        if not _BROKER_CAN[need](fleet, node):
            raise UsageError(
                f"{fault.name} is not possible here: no {need}",
                node=node,
                remedy=BROKER_CAPABILITIES[need],
            )


def require_allowed(inventory: Inventory, faults: Iterable[Fault]) -> None:
    """Raise UsageError for the first fault that the inventory does not allow on its hosts."""
    allowed = inventory.allowed_faults
    if allowed is None:
        return
    unknown = sorted(allowed - FAULTS.keys() - NEMESES.keys())
    if unknown:
        raise UsageError(
            f"{inventory.path}: allowed_faults: there is no fault {shorten(unknown[0])!r}",
            remedy="see `jepsenvm fault list`",
        )
    for fault in faults:
        if not allowed & {fault.name, fault.kind}:
            raise UsageError(
                f"{inventory.path}: allowed_faults does not allow {fault.name}",
                remedy=f"add {fault.kind} to that list if these hosts may have it, "
                "or use another nemesis",
            )


def require_client_for_each_process(plan: Plan, nodes: int) -> None:
    """Raise UsageError if a load process would have no publisher on this number of nodes."""
    publishers = nodes * plan.publishers
    if plan.workers > publishers:
        raise UsageError(
            f"workers ({plan.workers}) must not be more than the publishers ({publishers}: "
            f"{plan.publishers} on each of {nodes} nodes)",
            remedy="use fewer workers or more publishers",
        )


def require_supported_queue_type(plan: Plan, faults: Iterable[Fault]) -> None:
    """Raise UsageError for the first fault that does not apply to the queue type of the plan."""
    for fault in faults:
        if fault.queue_types and plan.queue_type not in fault.queue_types:
            types = " or ".join(fault.queue_types)
            raise UsageError(
                f"{fault.name} applies to {types} queues, and the plan's queue-type is "
                f"{plan.queue_type}",
                remedy=f"use queue-type {types}, or another nemesis",
            )


def require_queue_of_run(plan: Plan, faults: Iterable[Fault]) -> None:
    """Raise UsageError for the first fault of a queue's nodes if the workload has no such queue."""
    if WORKLOADS[plan.workload].uses_queue:
        return
    for fault in faults:
        if fault.role is not None:
            raise UsageError(
                f"{fault.name} acts on the nodes of the run's queue, and workload "
                f"{plan.workload} has no such queue",
                remedy="use another nemesis, or another workload",
            )


def config_mismatches(state: ClusterState, plan: Plan) -> list[str]:
    """Return each problem of the cluster, else each difference between the cluster and the plan."""
    if state.problems:
        return state.problems
    mismatches = []
    for node, actual in state.settings.items():
        if actual.net_ticktime != plan.net_ticktime:
            mismatches.append(
                f"{node}: net_ticktime is {actual.net_ticktime}, the plan says {plan.net_ticktime}"
            )
        if (
            release(actual.version) < PARTITION_HANDLING_ENDED
            and actual.partition_handling != plan.partition_handling
        ):
            mismatches.append(
                f"{node}: partition handling is {actual.partition_handling}, "
                f"not {plan.partition_handling}"
            )
    return mismatches


def common_version(settings_of: Mapping[str, broker.Settings]) -> str:
    """Return the RabbitMQ version that all nodes run; raise UsageError if they differ."""
    versions = {node: actual.version for node, actual in settings_of.items()}
    if len(set(versions.values())) > 1:
        text = ", ".join(f"{node} {version}" for node, version in versions.items())
        raise UsageError(
            f"the nodes run different RabbitMQ versions: {text}",
            remedy="deploy the same version to all: `jepsenvm deploy --reset` with one --source",
        )
    return next(iter(versions.values()))


def require_supported_version(plan: Plan, running: str) -> None:
    """Raise UsageError if this RabbitMQ version lacks the plan's queue type or another feature.

    A message that is larger than the version accepts is refused too.
    """
    queue_type = queue_type_spec(plan.queue_type)
    removed_in = queue_type.removed_in
    if removed_in is not None and release(running) >= removed_in:
        raise UsageError(
            f"queue-type: {plan.queue_type} queues were removed in RabbitMQ "
            f"{release_text(removed_in)}, and the nodes run {running}",
            remedy="use queue-type quorum, or machines with an older RabbitMQ "
            "(`jepsenvm lab up --suite bookworm`)",
        )
    for needed in (
        queue_type.minimum_version,
        WORKLOADS[plan.workload].minimum_version(plan),
        CONSUMER_TIMEOUTS if plan.consumer_timeout is not None else None,
    ):
        if needed is not None and release(running) < needed.version:
            raise UsageError(
                f"{needed.feature} came with RabbitMQ {release_text(needed.version)}, and "
                f"the nodes run {running}",
                remedy=f"use machines with a newer RabbitMQ (`jepsenvm lab up --suite "
                f"{_suite_with(needed.version)}`)",
            )
    _require_consumer_timeouts(plan, running)
    _require_accepted_message_size(plan, running)


def _suite_with(version: tuple[int, int]) -> str:
    """Return the oldest of the lab's suites that has this RabbitMQ version or a newer one."""
    return "bookworm" if version <= (3, 10) else "trixie"


def _require_consumer_timeouts(plan: Plan, running: str) -> None:
    """Raise UsageError if queues of the plan's type have no consumer timeout in this version."""
    ended = queue_type_spec(plan.queue_type).consumer_timeouts_ended
    if plan.consumer_timeout is not None and ended is not None and release(running) >= ended:
        raise UsageError(
            f"consumer-timeout: {plan.queue_type} queues have no consumer timeout since RabbitMQ "
            f"{release_text(ended)}, and the nodes run {running}",
            remedy="use queue-type quorum, or leave out consumer-timeout",
        )


def _require_accepted_message_size(plan: Plan, running: str) -> None:
    if plan.message_size is None:
        return
    _, most = size_bounds(plan.message_size)
    if most > largest_message(running):
        raise UsageError(
            f"message-size: RabbitMQ {running} accepts messages of at most "
            f"{largest_message(running)} bytes (found {most})",
            remedy="use a smaller message-size",
        )


def _view_problems(views: Mapping[str, cluster_view.View | Exception]) -> list[str]:
    problems = [
        f"{node}: RabbitMQ is not up ({message_of(answer)})"
        for node, answer in views.items()
        if isinstance(answer, Exception)
    ]
    for node, view in views.items():
        if isinstance(view, cluster_view.View):
            problems += [f"{node}: {problem}" for problem in view.troubles(sorted(views))]
    return problems
