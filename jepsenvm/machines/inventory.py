"""The inventory: the hosts of one cluster, how to reach them, and where their secrets are kept.

Ansible reads the file, so every format that Ansible accepts works here too: YAML, INI, group_vars
and plug-ins. Every value that later becomes part of a command, a file name or /etc/hosts is
checked here.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import UsageError, shown
from jepsenvm.machines.ansible_settings import Settings, ansible_settings, settings_program
from jepsenvm.machines.inventory_hostvars import read_hosts, require_host_names
from jepsenvm.machines.inventory_node import Node, node_from_hostvars
from jepsenvm.machines.inventory_tls import BOOLEANS, broker_ca
from jepsenvm.machines.ports import AMQP_PORT, AMQP_TLS_PORT

DEFAULT_VHOST: Final = "/"
EXISTING_VHOST: Final = "jepsenvm"
"""The virtual host on an existing cluster, unless jepsenvm_vhost names another."""

LEAST_PATIENCE: Final = 0.1

_VHOST_NAME: Final = re.compile(r"[A-Za-z0-9/_][A-Za-z0-9/_.-]*")

Hostvars = Mapping[str, Mapping[str, Any]]
"""host -> variable -> value."""


@dataclass(frozen=True)
class Inventory:
    """The nodes of one cluster, in natural order, and the settings that they share."""

    path: Path
    machines: str
    """The name of the machine provider."""
    nodes: tuple[Node, ...]
    secrets_dir: Path
    vars: dict[str, Any] = field(repr=False)
    """The variables with the same value on all nodes. They may include passwords."""
    existing: bool = False
    """Whether the cluster exists already, so that jepsenvm must not deploy to it."""
    allowed_faults: frozenset[str] | None = None
    """Names of nemeses or kinds of faults; None allows all."""
    patience: float = 1.0
    """Multiplies every deadline with these hosts."""
    group: str = "all"
    """The group of the inventory that lists the nodes."""
    broker_ca: Path | None = None
    """The file with the authorities whose certificates clients accept; None without TLS."""


def load(
    path: Path, default_group: str, *, chosen_group: str | None = None, existing: bool = False
) -> Inventory:
    """Read an inventory with Ansible; raise UsageError for whatever is wrong in it.

    ``chosen_group`` names the inventory group with the cluster's nodes. Without it, the variable
    ``jepsenvm_group`` names that group, otherwise ``default_group`` is that group if it exists
    (``machines.inventory_group``). ``existing`` has the same effect as ``jepsenvm_existing: true``
    in the inventory.
    """
    path = path.absolute()
    with settings_program() as program:  # imports Ansible while the hosts are read
        listed = read_hosts(path, default_group, chosen_group)
        settings = ansible_settings(program, path, listed.hostvars)
    hostvars = listed.hostvars
    shared = _shared(hostvars)
    existing = existing or _boolean(path, shared, "jepsenvm_existing")
    if not existing:
        require_host_names(path, hostvars)
    secrets_dir = _secrets_dir(path, shared)
    ca = broker_ca(path, hostvars, secrets_dir, existing=existing)
    inventory = Inventory(
        path=path,
        machines=str(shared.get("jepsenvm_machines", "cloud")),
        nodes=_nodes(path, hostvars, settings, shared, existing=existing, tls=ca is not None),
        group=listed.group,
        secrets_dir=secrets_dir,
        broker_ca=ca,
        vars=shared,
        existing=existing,
        allowed_faults=_allowed_faults(path, hostvars, existing=existing),
        patience=_patience(path, shared),
    )
    _require_different_hosts(path, inventory.nodes)
    return inventory


def natural(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Return a sort key that orders n2 before n10."""
    parts = (part for part in re.split(r"(\d+)", name) if part)
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)


def _nodes(
    path: Path,
    hostvars: Hostvars,
    settings: Mapping[str, Settings],
    shared: Mapping[str, Any],
    *,
    existing: bool,
    tls: bool,
) -> tuple[Node, ...]:
    vhost = _vhost(path, shared) if existing else DEFAULT_VHOST
    return tuple(
        node_from_hostvars(
            path,
            name,
            hostvars[name],
            settings[name],
            # The nodes of an existing cluster are asked for their Erlang names.
            broker=None if existing else f"rabbit@{name}",
            vhost=vhost,
            standard_port=AMQP_TLS_PORT if tls else AMQP_PORT,
        )
        for name in sorted(hostvars, key=natural)
    )


def _vhost(path: Path, shared: Mapping[str, Any]) -> str:
    vhost = str(shared.get("jepsenvm_vhost", EXISTING_VHOST))
    if not _VHOST_NAME.fullmatch(vhost):
        raise UsageError(
            f"{path}: jepsenvm_vhost is {shown(vhost)}",
            remedy="use letters, digits, dots, hyphens and slashes",
        )
    return vhost


def _secrets_dir(path: Path, shared: Mapping[str, Any]) -> Path:
    default = path.parent / ".jepsenvm" / path.stem
    value = shared.get("jepsenvm_secrets_dir", str(default))
    try:
        folder = Path(value).expanduser()
        os.fsencode(folder)
    except (TypeError, ValueError, RuntimeError):
        folder = None
    if folder is None or not str(value).strip() or "\0" in str(value):
        raise UsageError(
            f"{path}: jepsenvm_secrets_dir is {shown(value)}",
            remedy="write the path of a folder, and an existing user after ~",
        )
    return folder.absolute()


def _patience(path: Path, shared: Mapping[str, Any]) -> float:
    value = shared.get("jepsenvm_patience", 1)
    try:
        patience = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        patience = math.nan
    if not LEAST_PATIENCE <= patience < math.inf:
        raise UsageError(
            f"{path}: jepsenvm_patience is {shown(value)}",
            remedy="write a number, such as 5 for slow hosts",
        )
    return patience


def _allowed_faults(path: Path, hostvars: Hostvars, *, existing: bool) -> frozenset[str] | None:
    """Return the faults that every host allows.

    A host without the variable allows every fault, except on an existing cluster, where it allows
    none.
    """
    lists = [
        variables["allowed_faults"]
        for variables in hostvars.values()
        if variables.get("allowed_faults") is not None
    ]
    for value in lists:
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise UsageError(
                f"{path}: allowed_faults is {shown(value)}",
                remedy="write a list, such as [partition, loss]",
            )
    if existing and len(lists) < len(hostvars):
        return frozenset()
    return frozenset.intersection(*map(frozenset, lists)) if lists else None


def _boolean(path: Path, shared: Mapping[str, Any], variable: str) -> bool:
    value = shared.get(variable, False)
    text = str(value).lower()
    if text not in BOOLEANS:
        raise UsageError(f"{path}: {variable} is {shown(value)}", remedy="write true or false")
    return BOOLEANS[text]


def _require_different_hosts(path: Path, nodes: Iterable[Node]) -> None:
    """Raise UsageError for two names of one host: such a cluster would survive any fault."""
    addresses: dict[str, Callable[[Node], object]] = {
        "ansible_host and ansible_port": lambda node: (node.ssh_host, node.ssh_port),
        "cluster_address": lambda node: node.cluster_address,
        "amqp_address and amqp_port": lambda node: (node.amqp_host, node.amqp_port),
    }
    for variable, address_of in addresses.items():
        owners: dict[object, str] = {}
        for node in nodes:
            owner = owners.setdefault(address_of(node), node.name)
            if owner != node.name:
                raise UsageError(
                    f"{path}: {owner} and {node.name} have the same {variable}",
                    remedy="give each host its own",
                )


def _shared(hostvars: Hostvars) -> dict[str, Any]:
    first, *others = hostvars.values()
    return {
        key: value
        for key, value in first.items()
        if all(variables.get(key) == value for variables in others)
    }
