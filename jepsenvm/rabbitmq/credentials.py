"""How to log in to the brokers: by what the playbook generated, or on a cluster of others by what we are told."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from jepsenvm.errors import UsageError
from jepsenvm.machines.inventory import Inventory, Node
from jepsenvm.rabbitmq.amqp import Address

USER = "jepsenvm"  # the same as playbooks/roles/rabbitmq/defaults/main.yml


@dataclass(frozen=True)
class Credentials:
    """How to log in to the brokers of a cluster."""

    user: str
    password: str = field(repr=False)
    patience: float = 1.0

    def at(self, node: Node) -> Address:
        """Return where a node's broker listens, for this user."""
        return Address(
            node.name,
            node.amqp_host,
            node.amqp_port,
            self.user,
            self.password,
            node.vhost,
            self.patience,
        )


def credentials(inventory: Inventory) -> Credentials:
    """The broker user of this cluster."""
    if inventory.existing:
        user, password = (
            _told(inventory, f"jepsenvm_broker_{what}") for what in ("user", "password")
        )
        return Credentials(user, password, inventory.patience)
    return Credentials(USER, _read(inventory, "rabbitmq_password"), inventory.patience)


def _read(inventory: Inventory, name: str) -> str:
    file = Path(inventory.secrets_dir, name)
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise _absent(inventory, f"cannot read {file}: {error.strerror}") from error
    if not secret:
        raise _absent(inventory, f"{file} is empty")
    return secret


def _told(inventory: Inventory, variable: str) -> str:
    """Return what the environment says, else the inventory."""
    value = os.environ.get(variable.upper()) or inventory.vars.get(variable)
    if not value:
        raise UsageError(
            f"{inventory.path}: {variable} is not set, and the cluster is not ours",
            remedy=f"set it for all nodes, or {variable.upper()} in the environment",
        )
    return str(value)


def _absent(inventory: Inventory, what: str) -> UsageError:
    return UsageError(what, remedy=f"run `jepsenvm deploy -i {inventory.path}`, which generates it")
