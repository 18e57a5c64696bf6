"""Deployment: installs RabbitMQ on the nodes of an inventory, and removes it again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from jepsenvm.machines import ansible
from jepsenvm.machines.ansible_progress import Recap
from jepsenvm.machines.cluster_lock import ClusterLock
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq import certificates

logger = logging.getLogger(__name__)


def deploy(
    inventory: Inventory,
    settings: Mapping[str, object],
    *,
    reset: bool = False,
    log: Path | None = None,
) -> Recap:
    """Install RabbitMQ on every node and form a cluster; return what changed.

    ``settings`` are Ansible variables. ``reset`` first wipes the database of every node. The output
    of Ansible is appended to ``log``. Raises UsageError if another process uses the cluster.
    """
    with _locked(inventory, "deploy"):
        if not reset:
            return install(inventory, settings, log=log)
        # A reset is the one deployment that may wipe a cluster of another inventory.
        settings = {**settings, "jepsenvm_resetting": True}
        _renew_certificates(inventory)
        ansible.play("reset.yml", inventory, settings, log)
        return install(inventory, settings, log=log)


def install(
    inventory: Inventory, settings: Mapping[str, object], *, log: Path | None = None
) -> Recap:
    """Deploy for a caller that holds the lock of the cluster."""
    _renew_certificates(inventory)
    return ansible.play("site.yml", inventory, settings, log)


def remove(inventory: Inventory, *, log: Path | None = None) -> Recap:
    """Remove from every node what ``deploy`` installed.

    Raises UsageError if another process uses the cluster.
    """
    with _locked(inventory, "remove"):
        return ansible.play("remove.yml", inventory, {}, log)


def _renew_certificates(inventory: Inventory) -> None:
    """Make the certificates that the playbooks distribute, if the brokers shall use TLS."""
    if inventory.broker_ca is None:
        return
    made = certificates.renew(inventory, datetime.now(UTC))
    if made:
        logger.info(f"certificates made for {' '.join(made)}")


@contextmanager
def _locked(inventory: Inventory, purpose: str) -> Iterator[None]:
    """Hold the lock of the cluster. Ansible reports hosts that do not answer."""
    ansible.require_not_existing(inventory)
    with (
        Fleet(inventory.nodes, patience=inventory.patience) as fleet,
        ClusterLock(fleet, purpose) as lock,
    ):
        lock.take(skip_silent=True)
        yield
