"""The way to a node as the ``ssh`` program itself would take it: the inventory's arguments and ~/.ssh/config alike.

Ansible runs that program; asking it (``ssh -G``) keeps our own connections from going another way than Ansible's.
"""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from jepsenvm.errors import UsageError
from jepsenvm.machines.inventory import Node

ASK_S: Final = 10


@dataclass(frozen=True)
class SshRoute:
    """How a node's sshd is reached, and by which key it must be known."""

    host: str
    port: int
    user: str
    keys: tuple[str, ...]
    known_hosts: tuple[str, ...]
    accept_new: bool
    """Whether an unknown host key is accepted and noted; a changed one never is."""
    agent: bool
    proxy: tuple[str, ...] | None
    """The command whose standard input and output lead there, by a jump host say."""

    def __str__(self) -> str:
        by = " through its jump host" if self.proxy else ""
        return f"{self.user}@{self.host}:{self.port}{by}"


def way(node: Node) -> SshRoute:
    """Return the way to a node; raise UsageError for arguments that ssh does not take."""
    argv = ["ssh", "-G", *node.ssh_args]
    argv += [] if node.ssh_port is None else ["-o", f"Port={node.ssh_port}"]
    argv += [] if node.ssh_user is None else ["-o", f"User={node.ssh_user}"]
    done = subprocess.run(
        [*argv, node.ssh_host],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ASK_S,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
        raise UsageError(
            f"ssh does not take its arguments: {said}",
            node=node.name,
            remedy="correct ansible_ssh_common_args, ansible_ssh_extra_args or ~/.ssh/config",
        )
    return parsed(done.stdout, node)


def parsed(config: str, node: Node) -> SshRoute:
    """Return the way that ``ssh -G`` tells of."""
    told: dict[str, list[str]] = {}
    for line in config.splitlines():
        key, _, value = line.partition(" ")
        told.setdefault(key.lower(), []).append(value)
    found = {key: values[0] for key, values in told.items()}
    host, port, user = found["hostname"], int(found["port"]), found["user"]
    files = f"{found.get('userknownhostsfile', '')} {found.get('globalknownhostsfile', '')}".split()
    keys = (
        [node.ssh_key] if node.ssh_key else [_home(file) for file in told.get("identityfile", [])]
    )
    return SshRoute(
        host,
        port,
        user,
        tuple(key for key in keys if node.ssh_key or Path(key).exists()),
        tuple(_home(file) for file in ([node.known_hosts] if node.known_hosts else []) + files),
        found.get("stricthostkeychecking") == "accept-new",
        not node.ssh_key and found.get("identitiesonly") != "yes",
        _proxy(
            found, node, {"%h": host, "%p": str(port), "%r": user, "%n": node.ssh_host, "%%": "%"}
        ),
    )


def _proxy(
    found: Mapping[str, str], node: Node, tokens: Mapping[str, str]
) -> tuple[str, ...] | None:
    jump, command = found.get("proxyjump", "none"), found.get("proxycommand", "none")
    if jump != "none":
        # As ssh does it itself: the jump hosts before the last one lead to that.
        *before, last = jump.split(",")
        others = ["-J", ",".join(before)] if before else []
        target = last if "://" in last else f"ssh://{last}"
        to = f"[{tokens['%h']}]:{tokens['%p']}"
        return ("ssh", "-o", "BatchMode=yes", *_config(node.ssh_args), *others, "-W", to, target)
    if command == "none":
        return None
    return ("/bin/sh", "-c", "exec " + re.sub(r"%[hprn%]", lambda token: tokens[token[0]], command))


def _config(args: Sequence[str]) -> list[str]:
    """Return the configuration file that the arguments name, for ssh to the jump host has to read it too."""
    for word, following in zip(args, [*args[1:], ""], strict=True):
        if word.startswith("-F"):
            return ["-F", word[2:] or following]
    return []


def _home(file: str) -> str:
    return str(Path(file).expanduser())


class Tunnel:
    """A proxy command that runs; ``sock`` leads through it."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start it. It ends when ``sock`` is closed."""
        # A pair of sockets and not paramiko's ProxyCommand: that one never notices that its command has ended.
        self.sock, theirs = socket.socketpair()
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._said,
                start_new_session=True,
            )

    def close(self) -> None:
        """End it."""
        self.sock.close()
        self._process.terminate()
        self._process.wait()

    def said(self) -> str:
        """Return the last line that it wrote to its standard error."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""
