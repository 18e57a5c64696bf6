"""Rolling upgrades of a run: what is refused before anything changes, and the staging of packages.

The package is staged on every node that will be upgraded, so that the installation itself is short
and needs no network.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from jepsenvm.errors import JepsenvmError, UsageError
from jepsenvm.experiment.upgrade_package import KEY, fetch, looked_at, package_file
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis import upgrade_scripts
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.faults.upgrade import TARGET, Upgrade
from jepsenvm.plan.field_types import PACKAGE_SUFFIX
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.queue_types import queue_type_spec
from jepsenvm.rabbitmq import ctl as broker
from jepsenvm.rabbitmq.upgrades import (
    GUIDE,
    Step,
    flag_problem,
    step_between,
    supported_targets,
    upstream,
)
from jepsenvm.rabbitmq.versions import release, release_text

logger = logging.getLogger(__name__)


def require_possible(plan: Plan, faults: Iterable[Fault]) -> None:
    """Raise UsageError if the upgrades of a plan are not possible, whatever the nodes run."""
    upgrades = upgrades_of(faults)
    if plan.upgrade_to is not None and not upgrades:
        raise UsageError(
            f"{KEY} goes only with nemesis upgrade, and no fault of the plan is one",
            remedy=f"use nemesis upgrade, or leave out {KEY}",
        )
    times = Counter(node for fault in upgrades for node in fault.nodes)
    twice = sorted(node for node, count in times.items() if count > 1)
    if twice:
        raise UsageError(
            f"the plan upgrades {twice[0]} more than once, and {KEY} is one version",
            remedy="make fault-duration longer than half of time-limit, or use a schedule",
        )
    for fault in upgrades:
        package_file(str(fault.settings[TARGET]))


def require_step(running: Collection[str], faults: Iterable[Fault]) -> None:
    """Raise UsageError if the target is a version that RabbitMQ does not support as a step.

    ``running`` are the versions of the nodes. A package file is looked at when it is staged.
    """
    for fault in upgrades_of(faults):
        target = str(fault.settings[TARGET])
        if not target.endswith(PACKAGE_SUFFIX):
            for version in sorted(set(running)):
                _require_supported_step(version, target)


def staged(
    plan: Plan | None, fleet: Fleet, faults: Sequence[Fault], running: Mapping[str, str]
) -> list[Fault]:
    """Return the faults, in which each upgrade has the package that was staged on its node.

    ``running`` are the versions of the nodes. Without a plan, the fault is one by hand. Raise
    UsageError if RabbitMQ or apt does not support the upgrade. Nothing is left on the nodes then.
    """
    upgrades = upgrades_of(faults)
    if not upgrades:
        return list(faults)
    nodes = _nodes_of(upgrades)
    (target,) = {str(fault.settings[TARGET]) for fault in upgrades}
    with discarded_if_refused(fleet, upgrades):
        found = looked_at(fleet, nodes, target)
        for version in sorted(set(running.values())):
            _require_supported(plan, fleet, version, found[nodes[0]]["found"])
        fetch(fleet, nodes, target)
    logger.info(f"RabbitMQ {found[nodes[0]]['found']} staged on {' '.join(nodes)}")
    return [_with_package(fault, found) for fault in faults]


def discard(fleet: Fleet, nodes: Sequence[str] | None = None) -> None:
    """Remove what was staged from the nodes that answer."""
    with suppress(JepsenvmError):
        fleet.each_or_error(lambda node: fleet.run(node, upgrade_scripts.discard()), nodes)


@contextmanager
def discarded_if_refused(fleet: Fleet, faults: Iterable[Fault]) -> Iterator[None]:
    """Remove what was staged for the upgrades among faults if the context raises an error."""
    try:
        yield
    except BaseException:
        if nodes := _nodes_of(upgrades_of(faults)):
            discard(fleet, nodes)
        raise


def _nodes_of(upgrades: Iterable[Upgrade]) -> list[str]:
    return sorted({node for fault in upgrades for node in fault.nodes})


def upgrades_of(faults: Iterable[Fault]) -> list[Upgrade]:
    """Return the upgrades among faults."""
    return [fault for fault in faults if isinstance(fault, Upgrade)]


def _with_package(fault: Fault, found: Mapping[str, Mapping[str, Any]]) -> Fault:
    if not isinstance(fault, Upgrade):
        return fault
    (node,) = fault.nodes
    return fault.staged(found[node]["package"], found[node]["found"])


def _require_supported(plan: Plan | None, fleet: Fleet, version: str, target: str) -> None:
    """Raise UsageError if the step, the feature flags or the queue type do not allow it."""
    step = _require_supported_step(version, target)
    node = next(iter(fleet.nodes))
    flags = broker.graded_feature_flags(fleet, node)
    set_up = () if plan is None else plan.feature_flags
    if problem := flag_problem(step, flags, set_up):
        raise UsageError(
            f"{KEY}: {problem} from {version} to {upstream(target)}",
            node=node,
            remedy=f"see {GUIDE}; the plan key feature-flags enables feature flags",
        )
    removed = None if plan is None else queue_type_spec(plan.queue_type).removed_in
    if plan is not None and removed is not None and release(upstream(target)) >= removed:
        raise UsageError(
            f"{KEY}: {plan.queue_type} queues were removed in RabbitMQ {release_text(removed)}",
            remedy="use queue-type quorum, or an older target",
        )


def _require_supported_step(version: str, target: str) -> Step:
    step = step_between(version, target)
    if step is None:
        raise UsageError(
            f"{KEY}: RabbitMQ supports no rolling upgrade from {version} to {upstream(target)}",
            remedy=f"upgrade to {supported_targets(version)} ({GUIDE})",
        )
    return step
