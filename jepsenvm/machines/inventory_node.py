"""One node of an inventory: its addresses and how SSH, clients and the other nodes reach it."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import UsageError, shown

AMQP_PORT: Final = "5672"

_SUDO: Final = ("sudo", "ansible.builtin.sudo")

_SSH_WORD: Final = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%@-]*")
"""A host or user name for ssh. It cannot be mistaken for an option."""


@dataclass(frozen=True)
class Node:
    """One host of the cluster."""

    name: str
    ssh_host: str
    ssh_port: int | None
    """None if the inventory leaves it to ~/.ssh/config; the same holds for the user."""
    ssh_user: str | None
    ssh_key: str | None
    known_hosts: str | None
    become_password: str | None = field(repr=False)
    cluster_address: str
    """The IP address at which the other nodes reach it."""
    amqp_host: str
    amqp_port: int
    ssh_args: tuple[str, ...] = ()
    """Further arguments that Ansible passes to ssh, in Ansible's order."""
    python: tuple[str, ...] = ("python3",)
    broker: str | None = None
    """Its Erlang node name; None if the node must be asked for it."""
    vhost: str = "/"
    """The virtual host of the runs."""


def node_from_hostvars(
    path: Path, name: str, hostvars: Mapping[str, Any], *, broker: str | None, vhost: str
) -> Node:
    """Return a node from its variables; raise UsageError for a variable that cannot be used.

    ``path`` is the inventory, for error messages.
    """
    variables = _Variables(path, name, hostvars)
    variables.require_sudo()
    ssh_host = variables.word("ansible_host", "ansible_ssh_host") or name
    return Node(
        name=name,
        ssh_host=ssh_host,
        ssh_port=variables.port("ansible_port", "ansible_ssh_port"),
        ssh_user=variables.word("ansible_user", "ansible_ssh_user"),
        ssh_key=variables.path("ansible_ssh_private_key_file", "ansible_private_key_file"),
        known_hosts=variables.path("jepsenvm_known_hosts"),
        become_password=variables.text(
            "ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"
        ),
        cluster_address=variables.address("cluster_address", default=ssh_host),
        amqp_host=variables.word("amqp_address") or ssh_host,
        amqp_port=variables.port("amqp_port", default=AMQP_PORT) or int(AMQP_PORT),
        ssh_args=variables.words(
            "ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"
        ),
        python=variables.python(),
        broker=broker,
        vhost=vhost,
    )


@dataclass(frozen=True)
class _Variables:
    """Reads the variables of one host. Where several names are given, the first one set counts."""

    path_of_inventory: Path
    node: str
    hostvars: Mapping[str, Any]

    def text(self, *names: str) -> str | None:
        """Return a variable as text."""
        values = (self.hostvars[name] for name in names if self.hostvars.get(name) is not None)
        value = next(values, None)
        return None if value is None else str(value)

    def word(self, *names: str) -> str | None:
        """Return a variable that ssh takes for a host or a user."""
        value = self.text(*names)
        if value and not _SSH_WORD.fullmatch(value):
            raise self.error(names[0], value, "write a plain name or address")
        return value or None

    def words(self, *names: str) -> tuple[str, ...]:
        """Return the words of all these variables, split as a shell does."""
        try:
            return tuple(word for name in names for word in shlex.split(self.text(name) or ""))
        except ValueError as problem:
            raise UsageError(
                f"{self.path_of_inventory}: {' or '.join(names)}: {problem}",
                node=self.node,
                remedy="close the quotes",
            ) from None

    def path(self, *names: str) -> str | None:
        """Return a path with its ~ expanded."""
        value = self.text(*names)
        if value is None:
            return None
        try:
            return str(Path(value).expanduser())
        except RuntimeError:
            raise self.error(names[0], value, "name an existing user after ~") from None

    def port(self, *names: str, default: str | None = None) -> int | None:
        """Return a TCP port."""
        value = self.text(*names) or default
        if value is None:
            return None
        if not (value.isascii() and value.isdecimal() and 0 < int(value[:9]) < 65536):
            raise self.error(names[0], value, "write a port from 1 to 65535")
        return int(value)

    def address(self, name: str, *, default: str) -> str:
        """Return an IP address. The nodes find each other through /etc/hosts, which needs one."""
        value = self.text(name) or default
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            raise UsageError(
                f"{self.path_of_inventory}: its cluster address is {shown(value)}",
                node=self.node,
                remedy="set cluster_address to the IP address at which the other nodes reach it",
            ) from None

    def python(self) -> tuple[str, ...]:
        """Return the command that runs Python."""
        interpreter = self.text("ansible_python_interpreter") or "auto"
        # With `auto` Ansible finds an interpreter. Every host where it does has a python3.
        if interpreter.startswith("auto"):
            return ("python3",)
        return self.words("ansible_python_interpreter")

    def require_sudo(self) -> None:
        """Raise UsageError for a become method other than sudo."""
        method = self.text("ansible_become_method") or "sudo"
        if method not in _SUDO:
            raise self.error("ansible_become_method", method, "let the user use sudo")

    def error(self, variable: str, value: str, remedy: str) -> UsageError:
        """Return the error for a value that cannot be used."""
        return UsageError(
            f"{self.path_of_inventory}: {variable} is {shown(value)}", node=self.node, remedy=remedy
        )
