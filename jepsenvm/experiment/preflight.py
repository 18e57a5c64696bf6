"""Preflight: whether the hosts and the cluster are as the plan needs them, before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from jepsenvm.errors import CommandError, JepsenvmError, UsageError
from jepsenvm.machines.capabilities import capabilities
from jepsenvm.machines.facts import Facts, facts
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.power import power_of
from jepsenvm.machines.reachability import pairs
from jepsenvm.machines.reachability_probe import matrix
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.registry import FAULTS, NEMESES
from jepsenvm.nemesis.requirements import CAPABILITIES
from jepsenvm.nemesis.status import in_force
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.queue_types import queue_type_spec
from jepsenvm.rabbitmq import ctl as broker
from jepsenvm.rabbitmq.names import CLUSTER_PORTS
from jepsenvm.workloads.registry import WORKLOADS

PARTITION_HANDLING_ENDED = (4, 3)


def hosts(fleet: Fleet) -> Mapping[str, Facts]:
    """Return every node's facts; raise UsageError for a node where we cannot become root."""
    for node, problem in fleet.each_or_error(lambda node: fleet.run(node, "true")).items():
        if isinstance(problem, CommandError):
            raise UsageError(
                f"cannot become root: {problem.message}",
                node=node,
                remedy="let the SSH user use sudo without a password, or set ansible_become_password",
            )
        if isinstance(problem, Exception):
            raise problem
    broker.learn_names(fleet)
    return facts(fleet)


def fit_for_faults(fleet: Fleet, known: Mapping[str, Facts]) -> None:
    """Raise UsageError unless every node has the programs that faults need and reaches every other."""
    for node, node_facts in known.items():
        if node_facts.missing:
            programs = ", ".join(node_facts.missing)
            raise UsageError(
                f"has no {programs}",
                node=node,
                remedy=f"install {programs} there, or run `jepsenvm deploy`",
            )
    for node, faults in in_force(fleet).items():
        if faults and not isinstance(faults, Exception):
            name = faults[0]["fault"]["name"]
            raise UsageError(
                f"a fault is in force before the run: {name}",
                node=node,
                remedy="run `jepsenvm heal`",
            )
    cut = [f"{a} to {b}" for a, b, flows in pairs(matrix(fleet, known, CLUSTER_PORTS)) if not flows]
    if cut:
        raise UsageError(
            f"the network is broken before any fault: {', '.join(cut)}",
            remedy="run `jepsenvm heal`, and check firewalls between the nodes (ports 4369 and 25672)",
        )


def require_capabilities(fleet: Fleet, inventory: Inventory, faults: Iterable[Fault]) -> None:
    """Raise UsageError for the first fault that requires a capability its nodes lack."""
    asked = list(faults)
    if not asked:
        return
    known = capabilities(fleet)
    for fault in asked:
        for need in fault.requirements():
            for node in sorted({*fault.nodes, *fault.grudge}):
                has = (
                    power_of(inventory) is not None
                    if need == "power"
                    else known[node].get(need, False)
                )
                if not has:
                    raise UsageError(
                        f"{fault.name} is not possible here: no {need}",
                        node=node,
                        remedy=CAPABILITIES[need],
                    )


def require_allowed(inventory: Inventory, faults: Iterable[Fault]) -> None:
    """Raise UsageError for the first fault that the inventory does not allow on its hosts."""
    permitted = inventory.allowed_faults
    unknown = sorted((permitted or frozenset()) - FAULTS.keys() - NEMESES.keys())
    if unknown:
        raise UsageError(
            f"{inventory.path}: allowed_faults: there is no fault {unknown[0]!r}",
            remedy="see `jepsenvm fault list`",
        )
    for fault in faults:
        if permitted is not None and not permitted & {fault.name, fault.kind}:
            raise UsageError(
                f"{inventory.path}: allowed_faults does not allow {fault.name}",
                remedy=f"add {fault.kind} to that list if these hosts may have it, or use another nemesis",
            )


def require_supported_queue_type(plan: Plan, faults: Iterable[Fault]) -> None:
    """Raise UsageError for the first fault that does not apply to the plan's type of queue."""
    for fault in faults:
        if fault.queue_types and plan.queue_type not in fault.queue_types:
            types = " or ".join(fault.queue_types)
            raise UsageError(
                f"{fault.name} applies to {types} queues, and the plan's queue-type is"
                f" {plan.queue_type}",
                remedy=f"use queue-type {types}, or another nemesis",
            )


def unlike(fleet: Fleet, plan: Plan) -> list[str]:
    """Return in what the cluster is not as the plan needs it; empty when it is."""
    found = broken(views(fleet))
    if found:
        return found
    for node, one in settings(fleet).items():
        if one.net_ticktime != plan.net_ticktime:
            found.append(
                f"{node}: net_ticktime is {one.net_ticktime}, the plan says {plan.net_ticktime}"
            )
        if (
            release(one.version) < PARTITION_HANDLING_ENDED
            and one.partition_handling != plan.partition_handling
        ):
            found.append(
                f"{node}: partition handling is {one.partition_handling}, not {plan.partition_handling}"
            )
    return found


def views(fleet: Fleet) -> dict[str, broker.View | Exception]:
    """Return the cluster as each node sees it; what kept a node from answering stands in its place."""
    return fleet.each_or_error(lambda node: broker.view(fleet, node))


def broken(seen: Mapping[str, broker.View | Exception]) -> list[str]:
    """Return what keeps the cluster of these nodes from being whole, as each of them sees it."""
    found = [
        f"{node}: RabbitMQ is not up ({_line(v)})"
        for node, v in seen.items()
        if isinstance(v, Exception)
    ]
    for node, view in seen.items():
        if isinstance(view, broker.View):
            found += [f"{node}: {trouble}" for trouble in view.troubles(sorted(seen))]
    return found


def settings(fleet: Fleet) -> dict[str, broker.Settings]:
    """Return what is in force on every running node."""
    return fleet.each(lambda node: broker.settings(fleet, node))


def version(fleet: Fleet) -> str:
    """Return the one RabbitMQ version that all nodes run; raise UsageError if they differ."""
    versions = {node: one.version for node, one in settings(fleet).items()}
    if len(set(versions.values())) > 1:
        raise UsageError(
            f"the nodes run different RabbitMQ versions: {versions}",
            remedy="deploy one version to all",
        )
    return next(iter(versions.values()))


def possible(plan: Plan, running: str) -> None:
    """Raise UsageError if this RabbitMQ version lacks the plan's queue type or another feature."""
    queue_type = queue_type_spec(plan.queue_type)
    removed_in = queue_type.removed_in
    if removed_in is not None and release(running) >= removed_in:
        raise UsageError(
            f"queue-type: {plan.queue_type} queues were removed in RabbitMQ "
            f"{'.'.join(map(str, removed_in))}, and the nodes run {running}",
            remedy="use queue-type quorum, or machines with an older RabbitMQ "
            "(`jepsenvm lab up --suite bookworm`)",
        )
    for needed in (
        queue_type.minimum_version,
        WORKLOADS[plan.workload].minimum_version(plan),
    ):
        if needed is not None and release(running) < needed.version:
            raise UsageError(
                f"{needed.feature} came with RabbitMQ {'.'.join(map(str, needed.version))}, and "
                f"the nodes run {running}",
                remedy="use machines with a newer RabbitMQ (`jepsenvm lab up --suite bookworm`)",
            )


def release(text: str) -> tuple[int, ...]:
    """Return a version as numbers: (3, 10) of "3.10.8"."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _line(problem: Sequence[object] | Exception | object) -> str:
    return problem.message if isinstance(problem, JepsenvmError) else str(problem)
