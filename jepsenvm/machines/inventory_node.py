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
from jepsenvm.machines.ansible_settings import Setting, Settings
from jepsenvm.machines.ports import AMQP_PORT

DISTRIBUTION_PORT: Final = 25672
PORT_MAPPER_PORT: Final = 4369
"""The port of epmd, Erlang's port mapper."""

_SSH: Final = ("ssh", "ansible.builtin.ssh", "smart")
_SUDO: Final = ("sudo", "ansible.builtin.sudo")

_SUDO_FLAG: Final = re.compile(r"-[EHPnS]+|--(set-home|preserve-(groups|env(=[A-Za-z0-9_,]+)?))")
"""A flag of sudo that leaves the command, its user and its input unchanged."""

_SSH_WORD: Final = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%@-]*")
"""A host or user name for ssh. It cannot be mistaken for an option."""

_UNUSABLE: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that no argument of a program and no line of its input can have."""

_FALSE: Final = ("false", "no", "off", "0", "n", "f")
"""What Ansible reads as false."""


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
    ssh_password: str | None = field(default=None, repr=False)
    key_passphrase: str | None = field(default=None, repr=False)
    ssh_program: str = "ssh"
    sudo: tuple[str, ...] = ("sudo",)
    """The command that runs another one as root, without options about the password."""
    distribution_port: int = DISTRIBUTION_PORT
    """The port of Erlang's distribution, by which the other nodes reach it."""

    amqp_listen_port: int = AMQP_PORT
    """The port on which the broker accepts clients. Clients may use another port,
    which is forwarded to it."""

    amqp_server_name: str | None = None
    """The name or address that its certificate must have; None for ``amqp_host``."""

    @property
    def tls_name(self) -> str:
        """The name or address that its certificate must have, if it uses TLS."""
        return self.amqp_server_name or self.amqp_host

    @property
    def cluster_ports(self) -> tuple[int, int]:
        """The TCP ports by which the other nodes reach it."""
        return PORT_MAPPER_PORT, self.distribution_port


def node_from_hostvars(
    path: Path,
    name: str,
    hostvars: Mapping[str, Any],
    settings: Settings,
    *,
    broker: str | None,
    vhost: str,
    standard_port: int = AMQP_PORT,
) -> Node:
    """Return a node; raise UsageError for a variable or a setting that cannot be used.

    ``path`` is the inventory, for error messages. ``hostvars`` are the node's variables, and
    ``settings`` are those with which Ansible reaches it. ``broker`` is None for an existing
    cluster. ``standard_port`` is the port at which a deployed broker accepts clients.
    """
    variables = _Variables(path, name, hostvars, settings)
    variables.require_ssh()
    ssh_user = variables.word("remote_user")
    variables.require_root(ssh_user)
    ssh_host = variables.word("host") or name
    amqp_port = variables.port("amqp_port") or standard_port
    return Node(
        name=name,
        ssh_host=ssh_host,
        ssh_port=variables.port("port"),
        ssh_user=ssh_user,
        ssh_key=variables.path("private_key_file"),
        known_hosts=variables.path("jepsenvm_known_hosts"),
        become_password=variables.text("become_pass"),
        cluster_address=variables.address("cluster_address", default=ssh_host),
        amqp_host=variables.word("amqp_address") or ssh_host,
        amqp_port=amqp_port,
        # A deployment decides the port itself. The port of an existing cluster can be any.
        amqp_listen_port=variables.port("amqp_listen_port")
        or (amqp_port if broker is None else standard_port),
        amqp_server_name=variables.word("amqp_server_name"),
        ssh_args=(
            *variables.words("ssh_args"),
            *variables.words("ssh_common_args"),
            *variables.words("ssh_extra_args"),
        ),
        python=variables.python(),
        broker=broker,
        vhost=vhost,
        ssh_password=variables.text("password"),
        key_passphrase=variables.text("private_key_passphrase"),
        ssh_program=variables.path("ssh_executable") or "ssh",
        sudo=variables.sudo(),
        distribution_port=variables.port("distribution_port") or DISTRIBUTION_PORT,
    )


@dataclass(frozen=True)
class _Variables:
    """Reads the settings and the variables of one host.

    A name is one of Ansible's options, or a variable that only jepsenvm reads.
    """

    path_of_inventory: Path
    node: str
    hostvars: Mapping[str, Any]
    settings: Settings

    def text(self, name: str) -> str | None:
        """Return a value as text; None if nothing sets it."""
        setting = self._setting(name)
        # Ansible's own defaults, such as a shared connection, are no part of the route.
        value = None if setting.is_default else setting.value
        if value is None:
            return None
        text = str(value)
        if _UNUSABLE.search(text):
            raise UsageError(
                f"{self.path_of_inventory}: {setting.source} has a control character or is not "
                "valid text",
                node=self.node,
                remedy="write it in one line",
            )
        return text

    def word(self, name: str) -> str | None:
        """Return a value that ssh takes for a host or a user."""
        value = self.text(name)
        if value and not _SSH_WORD.fullmatch(value):
            raise self.error(name, "write a plain name or address")
        return value or None

    def words(self, name: str) -> tuple[str, ...]:
        """Return the words of a value, split as a shell does."""
        try:
            return tuple(shlex.split(self.text(name) or ""))
        except ValueError as problem:
            raise UsageError(
                f"{self.path_of_inventory}: {self._setting(name).source}: {problem}",
                node=self.node,
                remedy="close the quotes",
            ) from None

    def path(self, name: str) -> str | None:
        """Return a path with its ~ expanded."""
        value = self.text(name)
        if not value:
            return None
        try:
            return str(Path(value).expanduser())
        except RuntimeError:
            raise self.error(name, "name an existing user after ~") from None

    def port(self, name: str) -> int | None:
        """Return a TCP port."""
        value = self.text(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdecimal() and 0 < int(value[:9]) < 65536):
            raise self.error(name, "write a port from 1 to 65535")
        return int(value[:9])

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
        interpreter = self.text("python") or "auto"
        # With `auto` Ansible finds an interpreter. Every host where it does has a python3.
        if interpreter.startswith("auto"):
            return ("python3",)
        return self.words("python")

    def sudo(self) -> tuple[str, ...]:
        """Return sudo and its flags, without those about the password, which jepsenvm chooses."""
        flags = (self._sudo_flag(flag) for flag in self.words("become_flags"))
        return (*(self.words("become_exe") or ("sudo",)), *(flag for flag in flags if flag))

    def require_ssh(self) -> None:
        """Raise UsageError for a connection other than Ansible's `ssh`, or for an unusable one."""
        connection = self._setting("connection")
        if connection.value not in _SSH:
            raise self.error("connection", "jepsenvm reaches hosts with ssh only: remove it")
        for option in ("private_key", "pkcs11_provider"):
            if self.text(option):
                raise UsageError(
                    f"{self.path_of_inventory}: {self._setting(option).source} is not supported",
                    node=self.node,
                    remedy="use a key file, or a key in the SSH agent",
                )

    def require_root(self, ssh_user: str | None) -> None:
        """Raise UsageError for a way to become root other than sudo, or to another user."""
        if self._setting("become_method").value not in _SUDO:
            raise self.error("become_method", "let the user use sudo")
        if self._setting("become_user").value not in (None, "", "root"):
            raise self.error("become_user", "faults need root: remove it")
        become = self._setting("become").value
        if ssh_user != "root" and str(become).lower() in _FALSE:
            raise self.error("become", "faults need root: remove it, or log in as root")

    def error(self, name: str, remedy: str) -> UsageError:
        """Return the error for a value that cannot be used."""
        setting = self._setting(name)
        return UsageError(
            f"{self.path_of_inventory}: {setting.source} is {shown(str(setting.value))}",
            node=self.node,
            remedy=remedy,
        )

    def _sudo_flag(self, flag: str) -> str:
        """Return a flag of sudo without -n and -S, which depend on the password."""
        if flag in ("--non-interactive", "--stdin"):
            return ""
        if not _SUDO_FLAG.fullmatch(flag):
            raise self.error("become_flags", "use none but -E, -H, -P, -n and -S")
        return re.sub("[nS]", "", flag).rstrip("-") if flag[1] != "-" else flag

    def _setting(self, name: str) -> Setting:
        missing = Setting(self.hostvars.get(name), name, is_default=name not in self.hostvars)
        return self.settings.get(name, missing)
