"""Deployment: installs RabbitMQ on the nodes of an inventory, and removes it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jepsenvm.errors import UsageError
from jepsenvm.machines import ansible
from jepsenvm.machines.ansible_progress import Recap
from jepsenvm.machines.inventory import Inventory
from jepsenvm.nemesis.manual import running


def deploy(
    inventory: Inventory,
    settings: Mapping[str, object],
    *,
    reset: bool = False,
    log: Path | None = None,
) -> Recap:
    """Install RabbitMQ on every node and form a cluster; return what changed.

    ``settings`` are Ansible variables. ``reset`` first wipes the database of every node. The output
    of Ansible is appended to ``log``.
    """
    if reset:
        ansible.play("reset.yml", inventory, settings, log)
    return ansible.play("site.yml", inventory, settings, log)


def remove(inventory: Inventory, *, log: Path | None = None) -> Recap:
    """Remove from every node what ``deploy`` installed; raise UsageError during a run."""
    run = running(inventory)
    if run is not None:
        raise UsageError(
            f"a run is in progress on these machines: {run}", remedy="wait for it, or end it"
        )
    return ansible.play("remove.yml", inventory, {}, log)
