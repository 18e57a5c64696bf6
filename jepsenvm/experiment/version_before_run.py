"""The version of RabbitMQ that a run will meet, as far as it is known before a deployment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq import ctl as broker
from jepsenvm.rabbitmq.installed import version_of_package, version_of_tools

DISTRIBUTION: Final = "distribution"
"""The default of the variable ``rabbitmq_source``."""

_VERSION: Final = re.compile(r"(?:\d+:)?(\d+\.\d+\.\d+)")
"""A version of RabbitMQ, perhaps in that of a package: 3.10.8 in 3.10.8-1.1+deb12u1."""


def version_before_run(
    running: Mapping[str, broker.Settings], fleet: Fleet, inventory: Inventory
) -> str | None:
    """Return the version that runs or that a deployment would start; None if it is not known.

    ``running`` has the settings of the nodes whose brokers run. Without them, the inventory's
    ``rabbitmq_version`` counts, or what is installed or available from the hosts' distribution.
    """
    versions = {settings.version for settings in running.values()}
    if versions:
        return versions.pop() if len(versions) == 1 else None
    if inventory.existing:
        return None
    requested = str(inventory.vars.get("rabbitmq_version", ""))
    if requested or inventory.vars.get("rabbitmq_source", DISTRIBUTION) != DISTRIBUTION:
        return _version_in(requested)
    node = next(iter(fleet.nodes))
    installed = _version_in(version_of_tools(fleet, node))
    return installed or _version_in(version_of_package(fleet, node))


def _version_in(text: str) -> str | None:
    match = _VERSION.match(text)
    return match[1] if match else None
