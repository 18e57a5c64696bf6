"""Which hosts there are and how to reach them.

Ansible itself reads the inventory, so that whatever it accepts (YAML, INI, group_vars, plug-ins) works
here too. Everything that later goes into a command, a file name or /etc/hosts is checked once, here.
"""

from __future__ import annotations

import ipaddress
import json
import math
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jepsenvm.errors import UsageError
from jepsenvm.machines.ansible_vars import program, resolved

GROUP = "rabbitmq"
MACHINES = ("lab", "vagrant", "cloud")
READ_DEADLINE_S = 60
VHOST = "jepsenvm"  # ours on a cluster that we did not deploy
SUDO = ("sudo", "ansible.builtin.sudo")
LEAST_PATIENCE = 0.1

HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
VHOST_NAME = re.compile(r"[A-Za-z0-9/_][A-Za-z0-9/_.-]*")
# What ssh takes for a host or a user; never something that it would take for an option.
SSH_WORD = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%@-]*")


@dataclass(frozen=True)
class Node:
    """One host of the cluster: its name, and the addresses at which each of us reaches it."""

    name: str
    ssh_host: str
    ssh_port: int | None
    """None where the inventory leaves it to ~/.ssh/config; so with the user."""
    ssh_user: str | None
    ssh_key: str | None
    known_hosts: str | None
    become_password: str | None = field(repr=False)
    cluster_address: str
    amqp_host: str
    amqp_port: int
    ssh_args: tuple[str, ...] = ()
    """What Ansible gives to ssh besides, in the same order."""
    python: tuple[str, ...] = ("python3",)
    broker: str | None = None
    """Its Erlang node name; on a cluster of others it is to be learnt from the node itself."""
    vhost: str = "/"
    """The virtual host in which we work."""


@dataclass(frozen=True)
class Inventory:
    """The nodes of one cluster, in natural order, and where the cluster's secrets are kept."""

    path: Path
    machines: str
    nodes: tuple[Node, ...]
    secrets_dir: Path
    vars: dict[str, Any] = field(repr=False)  # what all nodes share; it may hold passwords
    existing: bool = False
    """Whether the cluster on them is somebody's whom we are a guest of, and not one that we deployed."""
    allowed_faults: frozenset[str] | None = None
    """By their own names or those of their kinds; None allows all of them."""
    patience: float = 1.0  # multiplies every deadline that is kept with these hosts


def load(path: Path, *, existing: bool = False) -> Inventory:
    """Read the inventory at ``path`` with Ansible, and refuse whatever could not be worked with.

    ``existing`` is what ``jepsenvm_existing: true`` in the inventory says too: the cluster there is not ours.
    """
    path = path.absolute()
    hostvars = _read(path)
    shared = _shared(hostvars.values())
    existing = existing or _truth(path, "jepsenvm_existing", shared.get("jepsenvm_existing", False))
    vhost = str(shared.get("jepsenvm_vhost", VHOST)) if existing else "/"
    if not VHOST_NAME.fullmatch(vhost):
        raise UsageError(
            f"{path}: jepsenvm_vhost is {vhost!r}",
            remedy="use letters, digits, dots, hyphens and slashes",
        )
    broker_of = (
        dict.fromkeys(hostvars) if existing else {name: f"rabbit@{name}" for name in hostvars}
    )
    names = sorted(hostvars, key=natural)
    nodes = tuple(_node(path, name, hostvars[name], broker_of[name], vhost) for name in names)
    _refuse_twins(path, nodes)
    machines = str(shared.get("jepsenvm_machines", "cloud"))
    if machines not in MACHINES:
        raise UsageError(
            f"{path}: jepsenvm_machines is {machines!r}", remedy=f"use one of {', '.join(MACHINES)}"
        )
    secrets_dir = Path(
        shared.get("jepsenvm_secrets_dir", path.parent / ".jepsenvm" / path.stem)
    ).expanduser()
    allowed = _allowed(path, hostvars, existing=existing)
    return Inventory(
        path,
        machines,
        nodes,
        secrets_dir.absolute(),
        shared,
        existing,
        allowed,
        _patience(path, shared),
    )


def _patience(path: Path, shared: Mapping[str, Any]) -> float:
    value = shared.get("jepsenvm_patience", 1)
    try:
        patience = float(value)
    except (TypeError, ValueError):
        patience = math.nan
    if not LEAST_PATIENCE <= patience < math.inf:
        raise UsageError(
            f"{path}: jepsenvm_patience is {value!r}",
            remedy="write a number, such as 5 for slow hosts",
        )
    return patience


def natural(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Order names as people do: n2 before n10."""
    parts = (part for part in re.split(r"(\d+)", name) if part)
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Each host's variables, as Ansible sees them."""
    try:
        next(path.iterdir(), None) if path.is_dir() else path.open("rb").close()
    except OSError as error:
        raise UsageError(
            f"cannot read the inventory {path}: {error.strerror}",
            remedy="name a readable file or folder with -i",
        ) from error
    listing = json.loads(_ansible_inventory(path))
    everyone: dict[str, dict[str, Any]] = listing["_meta"]["hostvars"]
    # A host without any variable is in its group only; and `all` has every host, through its groups.
    names = (
        _members(listing, GROUP) if GROUP in listing else _members(listing, "all") | set(everyone)
    )
    if not names:
        raise UsageError(f"{path} names no hosts", remedy=f"list them in its group `{GROUP}`")
    odd = [name for name in sorted(names) if not HOST_NAME.fullmatch(name)]
    if odd:
        raise UsageError(
            f"{path}: {odd[0]!r} is not a host name",
            remedy="use letters, digits, hyphens and dots only",
        )
    return resolved(path, {name: everyone.get(name, {}) for name in names})


def _members(listing: Mapping[str, Any], group: str) -> set[str]:
    entry = listing.get(group, {})
    return set(entry.get("hosts", ())).union(
        *(_members(listing, child) for child in entry.get("children", ()))
    )


def _ansible_inventory(path: Path) -> str:
    listing = program("ansible-inventory")
    # Without this Ansible only warns about a file that it cannot parse, and goes on with no hosts.
    env = os.environ | {
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        "ANSIBLE_NOCOLOR": "true",
    }
    try:
        done = subprocess.run(
            [listing, "--list", "-i", str(path)],
            env=env,
            capture_output=True,
            text=True,
            timeout=READ_DEADLINE_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise UsageError(
            f"{listing} is missing", remedy="install jepsenvm with its dependencies"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UsageError(
            f"{path}: ansible-inventory took longer than {READ_DEADLINE_S} s",
            remedy="check its plug-ins",
        ) from error
    if done.returncode != 0:
        reason = _reason(path, done.stderr)
        remedy = "correct the file"
        if "vault" in reason or "ecrypt" in reason:
            remedy = (
                "give the vault's password: --vault-password-file, or ANSIBLE_VAULT_PASSWORD_FILE"
            )
        raise UsageError(f"{path} is not an inventory: {reason}", remedy=remedy)
    return done.stdout


def _reason(path: Path, stderr: str) -> str:
    """Ansible tries each format in turn and complains for each: the complaint about the format it is."""
    plugin = "yaml" if path.suffix in {".yml", ".yaml", ".json"} else "ini"
    if "Plugin configuration YAML file" in stderr:
        plugin = "auto"
    said = re.search(rf"with '{plugin}' plugin: (.*)", stderr)
    at = re.search(rf"Origin: {re.escape(str(path))}:(\d+)", stderr)
    reason = (
        said.group(1) if said else (stderr.strip().splitlines() or ["ansible-inventory failed"])[-1]
    )
    return reason.rstrip(".") + (f" (line {at.group(1)})" if at else "")


def _node(
    path: Path, name: str, hostvars: Mapping[str, Any], broker: str | None, vhost: str
) -> Node:
    def text(*names: str) -> str | None:
        value = next((hostvars[n] for n in names if hostvars.get(n) is not None), None)
        return None if value is None else str(value)

    def word(value: str, variable: str) -> str:
        if not SSH_WORD.fullmatch(value):
            raise UsageError(
                f"{path}: {variable} is {value!r}",
                node=name,
                remedy="write a plain name or address",
            )
        return value

    def words(*names: str) -> tuple[str, ...]:
        try:
            return tuple(word for one in names for word in shlex.split(text(one) or ""))
        except ValueError as problem:
            raise UsageError(
                f"{path}: {' or '.join(names)}: {problem}", node=name, remedy="close the quotes"
            ) from None

    ssh_host = word(text("ansible_host", "ansible_ssh_host") or name, "ansible_host")
    port, user = text("ansible_port", "ansible_ssh_port"), text("ansible_user", "ansible_ssh_user")
    if (method := text("ansible_become_method") or "sudo") not in SUDO:
        raise UsageError(
            f"{path}: ansible_become_method is {method!r}",
            node=name,
            remedy="let the user use sudo",
        )
    interpreter = text("ansible_python_interpreter") or "auto"
    return Node(
        name=name,
        ssh_host=ssh_host,
        ssh_port=None if port is None else _port(path, name, "ansible_port", port),
        ssh_user=None if user is None else word(user, "ansible_user"),
        ssh_key=_home(text("ansible_ssh_private_key_file", "ansible_private_key_file")),
        known_hosts=_home(text("jepsenvm_known_hosts")),
        become_password=text("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"),
        cluster_address=_address(path, name, text("cluster_address") or ssh_host),
        amqp_host=word(text("amqp_address") or ssh_host, "amqp_address"),
        amqp_port=_port(path, name, "amqp_port", text("amqp_port") or "5672"),
        ssh_args=words("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"),
        # Ansible finds one by itself where it is told `auto`; wherever it does, there is a python3.
        python=("python3",)
        if interpreter.startswith("auto")
        else words("ansible_python_interpreter"),
        broker=broker,
        vhost=vhost,
    )


def _allowed(
    path: Path, hostvars: Mapping[str, Mapping[str, Any]], *, existing: bool
) -> frozenset[str] | None:
    """Return the faults that every host allows; where none is named, all on our own cluster and none on another's."""
    lists = [
        one["allowed_faults"] for one in hostvars.values() if one.get("allowed_faults") is not None
    ]
    for one in lists:
        if not isinstance(one, list) or not all(isinstance(name, str) for name in one):
            raise UsageError(
                f"{path}: allowed_faults is {one!r}",
                remedy="write a list, such as [partition, loss]",
            )
    if not lists and not existing:
        return None
    told = [frozenset(one) for one in lists]
    return (
        frozenset.intersection(*told) if len(told) == len(hostvars) or not existing else frozenset()
    )


def _truth(path: Path, variable: str, value: object) -> bool:
    said = str(value).lower()
    if said not in {"true", "yes", "1", "false", "no", "0"}:
        raise UsageError(f"{path}: {variable} is {value!r}", remedy="write true or false")
    return said in {"true", "yes", "1"}


def _home(file: str | None) -> str | None:
    return None if file is None else str(Path(file).expanduser())


def _port(path: Path, node: str, variable: str, value: str) -> int:
    if not (value.isdecimal() and 0 < int(value) < 65536):
        raise UsageError(
            f"{path}: {variable} is {value!r}", node=node, remedy="write a port from 1 to 65535"
        )
    return int(value)


def _address(path: Path, node: str, value: str) -> str:
    """The nodes find each other by /etc/hosts, which wants addresses."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        raise UsageError(
            f"{path}: its cluster address is {value!r}",
            node=node,
            remedy="set cluster_address to the IP address at which the other nodes reach it",
        ) from error


def _refuse_twins(path: Path, nodes: Iterable[Node]) -> None:
    """Two names for one host would look like a cluster that survives anything."""
    kinds: dict[str, Callable[[Node], object]] = {
        "ansible_host and ansible_port": lambda node: (node.ssh_host, node.ssh_port),
        "cluster_address": lambda node: node.cluster_address,
        "amqp_address and amqp_port": lambda node: (node.amqp_host, node.amqp_port),
    }
    for variable, address_of in kinds.items():
        seen: dict[object, str] = {}
        for node in nodes:
            twin = seen.setdefault(address_of(node), node.name)
            if twin != node.name:
                raise UsageError(
                    f"{path}: {twin} and {node.name} have the same {variable}",
                    remedy="give each its own",
                )


def _shared(hostvars: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    first, *others = hostvars
    return {key: value for key, value in first.items() if all(o.get(key) == value for o in others)}
