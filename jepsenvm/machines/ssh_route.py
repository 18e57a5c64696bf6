"""The route to a node as the ``ssh`` program would take it.

Ansible runs that program. jepsenvm asks it for the route (``ssh -G``), so that its own connections
use the same arguments, ~/.ssh/config, jump hosts and host keys.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from jepsenvm.errors import MALFORMED, UsageError, last_line, shorten
from jepsenvm.machines.inventory_node import Node

TIMEOUT_S: Final = 10


@dataclass(frozen=True)
class SshRoute:
    """The address of a node's sshd, the keys for the login, and the host keys that are accepted."""

    host: str
    port: int
    user: str
    keys: tuple[str, ...]
    known_hosts: tuple[str, ...]
    accept_new: bool
    """Whether an unknown host key is accepted and stored. A changed key is never accepted."""
    agent: bool
    proxy: tuple[str, ...] | None
    """The command whose standard input and output lead to sshd, such as one for a jump host."""
    password: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    """The passphrase of the key files."""
    host_key_name: str = ""
    """The name for which known_hosts files have the host keys; empty for ``host``."""

    def __str__(self) -> str:
        jump = " through its jump host" if self.proxy else ""
        return f"{self.user}@{self.host}:{self.port}{jump}"


def ssh_route(node: Node) -> SshRoute:
    """Return the route to a node; raise UsageError for arguments that ssh refuses."""
    argv = [node.ssh_program, "-G", *node.ssh_args]
    argv += [] if node.ssh_port is None else ["-o", f"Port={node.ssh_port}"]
    argv += [] if node.ssh_user is None else ["-o", f"User={node.ssh_user}"]
    try:
        done = subprocess.run(
            [*argv, "--", node.ssh_host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise UsageError(
            f"cannot run {node.ssh_program}: {error.strerror}",
            node=node.name,
            remedy="install the OpenSSH client",
        ) from error
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"`{node.ssh_program} -G` took longer than {TIMEOUT_S} s",
            node=node.name,
            remedy="check the commands of `Match exec` in ~/.ssh/config",
        ) from None
    if done.returncode:
        raise UsageError(
            f"ssh refuses its arguments: {shorten(last_line(done.stderr, 'no reason given'), 200)}",
            node=node.name,
            remedy="correct ansible_ssh_common_args, ansible_ssh_extra_args or ~/.ssh/config",
        )
    return parse_route(done.stdout, node)


def parse_route(config: str, node: Node) -> SshRoute:
    """Return the route in the output of ``ssh -G``; raise UsageError if it is not understood."""
    try:
        return _route(config, node)
    except (*MALFORMED, OSError) as problem:
        raise UsageError(
            f"the output of `{node.ssh_program} -G` is not understood: "
            f"{type(problem).__name__}: {shorten(problem)}",
            node=node.name,
            remedy="run it by hand, and correct ~/.ssh/config",
        ) from None


def _route(config: str, node: Node) -> SshRoute:
    values: dict[str, list[str]] = {}
    for line in config.splitlines():
        key, _, value = line.partition(" ")
        values.setdefault(key.lower(), []).append(value)
    first = {key: entries[0] for key, entries in values.items()}
    host, port, user = first["hostname"], int(first["port"]), first["user"]
    tokens = {
        **{"%h": host, "%p": str(port), "%r": user, "%n": node.ssh_host, "%%": "%"},
        **{"%d": str(Path.home()), "%u": _local_user(), "%i": str(os.getuid())},
    }
    return SshRoute(
        host=host,
        port=port,
        user=user,
        keys=_keys(values, node, tokens),
        known_hosts=_known_hosts(first, node, tokens),
        accept_new=first.get("stricthostkeychecking") == "accept-new",
        agent=not node.ssh_key and first.get("identitiesonly") != "yes",
        proxy=_proxy(first, node, tokens),
        password=node.ssh_password,
        passphrase=node.key_passphrase,
        host_key_name=first.get("hostkeyalias", ""),
    )


def _keys(
    values: Mapping[str, Sequence[str]], node: Node, tokens: Mapping[str, str]
) -> tuple[str, ...]:
    if node.ssh_key:
        return (node.ssh_key,)
    # ssh lists default keys that may not exist.
    keys = (_file(key, tokens) for key in values.get("identityfile", []))
    return tuple(key for key in keys if Path(key).is_file())


def _known_hosts(
    first: Mapping[str, str], node: Node, tokens: Mapping[str, str]
) -> tuple[str, ...]:
    user, system = first.get("userknownhostsfile", ""), first.get("globalknownhostsfile", "")
    own = [node.known_hosts] if node.known_hosts else []
    files = [file for file in f"{user} {system}".split() if file != "none"]
    return tuple(_file(file, tokens) for file in [*own, *files])


def _proxy(
    first: Mapping[str, str], node: Node, tokens: Mapping[str, str]
) -> tuple[str, ...] | None:
    jump, command = first.get("proxyjump", "none"), first.get("proxycommand", "none")
    if jump != "none":
        # As ssh does it: the jump hosts before the last one lead to the last one.
        *before, last = jump.split(",")
        others = ["-J", ",".join(before)] if before else []
        target = last if "://" in last else f"ssh://{last}"
        destination = f"[{tokens['%h']}]:{tokens['%p']}"
        options = ["-o", "BatchMode=yes", *_config_option(node.ssh_args), *others]
        return (node.ssh_program, *options, "-W", destination, target)
    if command == "none":
        return None
    return ("/bin/sh", "-c", f"exec {_expanded(command, tokens)}")


def _config_option(args: Sequence[str]) -> list[str]:
    """Return the -F option among ssh's arguments: ssh to the jump host must read that file too."""
    for word, following in zip(args, [*args[1:], ""], strict=True):
        if word.startswith("-F"):
            return ["-F", word[2:] or following]
    return []


def _local_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user has no name, as in some containers
        return str(os.getuid())


def _file(path: str, tokens: Mapping[str, str]) -> str:
    """Return a path of ssh's configuration with its tokens and its ~ expanded."""
    expanded = _expanded(path, tokens)
    try:
        return str(Path(expanded).expanduser())
    except RuntimeError:
        return expanded  # there is no such user, so there is no such file


def _expanded(text: str, tokens: Mapping[str, str]) -> str:
    return re.sub("%[hprndui%]", lambda token: tokens[token[0]], text)


class Tunnel:
    """A running proxy command; the socket ``sock`` leads through it."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start the command. It ends when ``sock`` is closed."""
        # paramiko's ProxyCommand never notices that its command has ended. A pair of sockets does.
        self.sock, remote_end = socket.socketpair()
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open while the process runs
        with remote_end:
            self._process = subprocess.Popen(
                command,
                stdin=remote_end.fileno(),
                stdout=remote_end.fileno(),
                stderr=self._stderr,
                start_new_session=True,
            )

    def close(self) -> None:
        """End the command."""
        self.sock.close()
        self._process.terminate()
        try:
            self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def last_error(self) -> str:
        """Return the last line of the command's standard error."""
        self._stderr.seek(0)
        return last_line(self._stderr.read().decode(errors="replace"))
