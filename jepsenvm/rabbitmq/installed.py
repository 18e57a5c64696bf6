"""The version of RabbitMQ on a host whose broker does not run."""

from __future__ import annotations

from typing import Final

from jepsenvm.machines.ssh import Fleet

TIMEOUT_S: Final = 60


def version_of_tools(fleet: Fleet, node: str) -> str:
    """Return what ``rabbitmqctl version`` prints, which needs no broker; empty without RabbitMQ."""
    script = "command -v rabbitmqctl >/dev/null && rabbitmqctl version 2>/dev/null"
    return fleet.run(node, script, timeout=TIMEOUT_S, check=False).stdout.strip()


def version_of_package(fleet: Fleet, node: str) -> str:
    """Return the version of the package that apt would install; empty if apt has none."""
    script = "apt-cache policy rabbitmq-server 2>/dev/null | sed -n 's/^ *Candidate: *//p'"
    return fleet.run(node, script, timeout=TIMEOUT_S, check=False).stdout.strip()
