"""Refusal of scenarios that a cluster cannot show, before anything is changed."""

from __future__ import annotations

from jepsenvm.errors import UsageError
from jepsenvm.experiment.preflight import require_supported_version
from jepsenvm.machines.inventory import Inventory
from jepsenvm.rabbitmq.versions import PARTITION_HANDLING_ENDED, release, release_text
from jepsenvm.scenarios.scenario import Scenario
from jepsenvm.scenarios.version_range import contains


def require_nodes(scenario: Scenario, inventory: Inventory) -> None:
    """Raise UsageError unless the cluster has the number of nodes that a scenario needs."""
    needed, found = scenario.about.nodes, len(inventory.nodes)
    if needed is not None and needed != found:
        raise UsageError(
            f"scenario {scenario.name} needs {needed} nodes, and {inventory.path} has {found}",
            remedy=f"use such a cluster (`jepsenvm lab up --nodes {needed}`)",
        )


def require_version(scenario: Scenario, running: str) -> None:
    """Raise UsageError if a version of RabbitMQ ignores or refuses a setting of a scenario.

    A version to which the scenario does not apply is refused too.
    """
    require_supported_version(scenario.plan, running)
    if "partition-handling" in scenario.document and release(running) >= PARTITION_HANDLING_ENDED:
        raise UsageError(
            f"partition-handling: RabbitMQ ignores it since "
            f"{release_text(PARTITION_HANDLING_ENDED)}, and the nodes run {running}",
            remedy=f"use machines with RabbitMQ {scenario.about.versions}, or another scenario",
        )
    if not contains(scenario.about.versions, running):
        raise UsageError(
            f"scenario {scenario.name} applies to RabbitMQ {scenario.about.versions}, and the "
            f"nodes run {running}",
            remedy="use machines with such a version, or another scenario",
        )
