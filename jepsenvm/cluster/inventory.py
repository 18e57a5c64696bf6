"""Which hosts there are and how to reach them.

Ansible itself reads the inventory, so that whatever it accepts (YAML, INI, group_vars, plug-ins) works
here too. Everything that later goes into a command, a file name or /etc/hosts is checked once, here.
"""

from __future__ import annotations

import getpass
import ipaddress
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jepsenvm.errors import Refused

GROUP = "rabbitmq"
MACHINES = ("lab", "vagrant", "cloud")
READ_DEADLINE_S = 60

HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
# What ssh takes for a host or a user; never something that it would take for an option.
SSH_WORD = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%@-]*")


@dataclass(frozen=True)
class Node:
    """One host of the cluster: its name, and the addresses at which each of us reaches it."""

    name: str
    ssh_host: str
    ssh_port: int
    ssh_user: str
    ssh_key: str | None
    known_hosts: str | None
    become_password: str | None = field(repr=False)
    cluster_address: str
    amqp_host: str
    amqp_port: int


@dataclass(frozen=True)
class Inventory:
    """The nodes of one cluster, in natural order, and where the cluster's secrets are kept."""

    path: Path
    machines: str
    nodes: tuple[Node, ...]
    secrets_dir: Path
    vars: dict[str, Any] = field(repr=False)  # what all nodes share; it may hold passwords


def load(path: Path) -> Inventory:
    """Read the inventory at ``path`` with Ansible, and refuse whatever could not be deployed to."""
    path = path.absolute()
    hostvars = _read(path)
    nodes = tuple(_node(path, name, hostvars[name]) for name in sorted(hostvars, key=natural))
    _refuse_twins(path, nodes)
    shared = _shared(hostvars.values())
    machines = str(shared.get("jepsenvm_machines", "cloud"))
    if machines not in MACHINES:
        raise Refused(f"{path}: jepsenvm_machines is {machines!r}", remedy=f"use one of {', '.join(MACHINES)}")
    secrets_dir = shared.get("jepsenvm_secrets_dir", path.parent / ".jepsenvm" / path.stem)
    return Inventory(path, machines, nodes, Path(secrets_dir).expanduser().absolute(), shared)


def natural(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Order names as people do: n2 before n10."""
    parts = (part for part in re.split(r"(\d+)", name) if part)
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Each host's variables, as Ansible sees them."""
    if path.is_dir():
        raise Refused(f"{path} is a directory", remedy="name the inventory file inside it")
    try:
        path.open("rb").close()
    except OSError as error:
        raise Refused(
            f"cannot read the inventory {path}: {error.strerror}", remedy="name a readable file with -i"
        ) from error
    listing = json.loads(_ansible_inventory(path))
    everyone: dict[str, dict[str, Any]] = listing["_meta"]["hostvars"]
    # A host without any variable is in its group only; and `all` has every host, through its groups.
    names = _members(listing, GROUP) if GROUP in listing else _members(listing, "all") | set(everyone)
    if not names:
        raise Refused(f"{path} names no hosts", remedy=f"list them in its group `{GROUP}`")
    return {name: everyone.get(name, {}) for name in names}


def _members(listing: Mapping[str, Any], group: str) -> set[str]:
    entry = listing.get(group, {})
    return set(entry.get("hosts", ())).union(*(_members(listing, child) for child in entry.get("children", ())))


def _ansible_inventory(path: Path) -> str:
    # The program that stands beside our own Python is the one that our playbooks run under.
    program = Path(sys.executable).with_name("ansible-inventory")
    # Without this Ansible only warns about a file that it cannot parse, and goes on with no hosts.
    env = os.environ | {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true", "ANSIBLE_NOCOLOR": "true"}
    try:
        done = subprocess.run(
            [str(program), "--list", "-i", str(path)],
            env=env,
            cwd=path.parent,
            capture_output=True,
            text=True,
            timeout=READ_DEADLINE_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise Refused(f"{program} is missing", remedy="install jepsenvm with its dependencies") from error
    except subprocess.TimeoutExpired as error:
        raise Refused(
            f"{path}: ansible-inventory took longer than {READ_DEADLINE_S} s", remedy="check its plug-ins"
        ) from error
    if done.returncode != 0:
        raise Refused(f"{path} is not an inventory: {_reason(path, done.stderr)}", remedy="correct the file")
    return done.stdout


def _reason(path: Path, stderr: str) -> str:
    """Ansible tries each format in turn and complains for each: the complaint about the format it is."""
    plugin = "yaml" if path.suffix in {".yml", ".yaml", ".json"} else "ini"
    said = re.search(rf"with '{plugin}' plugin: (.*)", stderr)
    at = re.search(rf"Origin: {re.escape(str(path))}:(\d+)", stderr)
    reason = said.group(1) if said else (stderr.strip().splitlines() or ["ansible-inventory failed"])[-1]
    return reason.rstrip(".") + (f" (line {at.group(1)})" if at else "")


def _node(path: Path, name: str, hostvars: Mapping[str, Any]) -> Node:
    if not HOST_NAME.fullmatch(name):
        raise Refused(f"{path}: {name!r} is not a host name", remedy="use letters, digits, hyphens and dots only")

    def text(*names: str) -> str | None:
        value = next((hostvars[n] for n in names if hostvars.get(n) is not None), None)
        if isinstance(value, dict) or "{{" in str(value):
            raise Refused(f"{path}: {names[0]} is a template or encrypted", node=name, remedy="write its value")
        return None if value is None else str(value)

    def word(value: str, variable: str) -> str:
        if not SSH_WORD.fullmatch(value):
            raise Refused(f"{path}: {variable} is {value!r}", node=name, remedy="write a plain name or address")
        return value

    ssh_host = word(text("ansible_host", "ansible_ssh_host") or name, "ansible_host")
    return Node(
        name=name,
        ssh_host=ssh_host,
        ssh_port=_port(path, name, "ansible_port", text("ansible_port", "ansible_ssh_port") or "22"),
        ssh_user=word(text("ansible_user", "ansible_ssh_user") or getpass.getuser(), "ansible_user"),
        ssh_key=_home(text("ansible_ssh_private_key_file", "ansible_private_key_file")),
        known_hosts=_home(text("jepsenvm_known_hosts")),
        become_password=text("ansible_become_password", "ansible_become_pass"),
        cluster_address=_address(path, name, text("cluster_address") or ssh_host),
        amqp_host=word(text("amqp_address") or ssh_host, "amqp_address"),
        amqp_port=_port(path, name, "amqp_port", text("amqp_port") or "5672"),
    )


def _home(file: str | None) -> str | None:
    return None if file is None else str(Path(file).expanduser())


def _port(path: Path, node: str, variable: str, value: str) -> int:
    if not (value.isdecimal() and 0 < int(value) < 65536):
        raise Refused(f"{path}: {variable} is {value!r}", node=node, remedy="write a port from 1 to 65535")
    return int(value)


def _address(path: Path, node: str, value: str) -> str:
    """The nodes find each other by /etc/hosts, which wants addresses."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        raise Refused(
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
                raise Refused(f"{path}: {twin} and {node.name} have the same {variable}", remedy="give each its own")


def _shared(hostvars: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    first, *others = hostvars
    return {key: value for key, value in first.items() if all(o.get(key) == value for o in others)}
