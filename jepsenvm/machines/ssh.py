"""Commands on the nodes over SSH: one open connection each, all nodes at once, every command with a deadline."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

import fabric
import invoke
import paramiko

from jepsenvm.errors import CommandError, UnreachableError, UsageError
from jepsenvm.machines.inventory import Node
from jepsenvm.machines.ssh_route import SshRoute, Tunnel, way

T = TypeVar("T")

TASKS_A_NODE: Final = 4
"""So many commands may run on a node at once: sshd takes ten sessions a connection."""

MARK: Final = "jepsenvm-begins"
"""Ends what is sudo's on the standard input."""

_IMPORT: Final = re.compile(r"^from jepsenvm\.machines\.remote\.(\w+) import \w+\n", re.MULTILINE)
_FUTURE: Final = "from __future__ import annotations\n"


@dataclass(frozen=True)
class Output:
    """What a command printed, and its exit status."""

    stdout: str
    stderr: str
    status: int


class Fleet:
    """Open SSH connections to the nodes; use as a context manager."""

    def __init__(
        self, nodes: Sequence[Node], connect_timeout: float = 15, *, patience: float = 1.0
    ) -> None:
        """Nothing is connected before the first command; ``connect_timeout`` is in seconds.

        ``patience`` multiplies that and every command's deadline, for slow hosts.
        """
        self.patience = patience
        self.nodes = {node.name: node for node in nodes}
        self._ways = {node.name: way(node) for node in nodes}
        self._tunnels: dict[str, Tunnel] = {}
        self._connections = {
            name: _connection(way, connect_timeout * patience) for name, way in self._ways.items()
        }
        self._locks = {node.name: threading.Lock() for node in nodes}
        self._pool = ThreadPoolExecutor(
            max_workers=max(1, TASKS_A_NODE * len(nodes)), thread_name_prefix="ssh"
        )

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for node in self._connections:
            self._close(node)

    def learn(self, node: Node) -> None:
        """Take in what was learnt of a node; the way to it stays."""
        self.nodes[node.name] = node

    def forget(self, node: str) -> None:
        """Close a node's connection: it would not notice that its host was switched off. The next command opens one."""
        self._close(node)

    def run(
        self, node: str, script: str, *, timeout: float = 30, stdin: str = "", check: bool = True
    ) -> Output:
        """Run a shell script as root on a node.

        Raises Unreachable when the node does not answer within ``timeout`` seconds, CommandFailed when ``check`` and
        the exit status is not 0.
        """
        sudo, password = "sudo -n ", self.nodes[node].become_password
        command, given = script, stdin
        if self._ways[node].user == "root":
            sudo = ""
        elif password is not None:
            # sudo reads the password only where it wants one; what it leaves of our input, up to the mark, is skipped.
            sudo = "sudo -S -p '' "
            command = f'while IFS= read -r line && [ "$line" != {MARK} ]; do :; done\n{script}'
            given = f"{password}\n{MARK}\n{stdin}"
        output = self._execute(node, f"{sudo}/bin/sh -c {shlex.quote(command)}", timeout, given)
        if check and output.status != 0:
            raise CommandError(
                _reason(output), node=node, command=_short(script), status=output.status
            )
        return output

    def plain(self, node: str, command: str, *, timeout: float = 30) -> Output:
        """Run a shell command as the SSH user itself, whatever its exit status."""
        return self._execute(node, command, timeout, "")

    def python(
        self, node: str, program: str, order: Mapping[str, Any] | None = None, timeout: float = 30
    ) -> Any:
        """Run a program of ``jepsenvm.machines.remote`` on a node; return the JSON that it prints.

        It gets ``order`` as JSON on its standard input, and must read it to the end; without an order it gets none.
        """
        script = f"exec {shlex.join(self.nodes[node].python)} -c {shlex.quote(source(program))}"
        return json.loads(
            self.run(node, script, timeout=timeout, stdin=json.dumps(order) if order else "").stdout
        )

    def each(self, task: Callable[[str], T], nodes: Sequence[str] | None = None) -> dict[str, T]:
        """Do a task for all (or these) nodes at once; the first error is raised after all have ended."""
        futures = {
            node: self._pool.submit(task, node)
            for node in (nodes if nodes is not None else self.nodes)
        }
        errors = [error for future in futures.values() if (error := future.exception())]
        if errors:
            raise errors[0]
        return {node: future.result() for node, future in futures.items()}

    def each_or_error(
        self, task: Callable[[str], T], nodes: Sequence[str] | None = None
    ) -> dict[str, T | Exception]:
        """Do a task for all (or these) nodes at once; a node's error stands in its place."""

        def guarded(node: str) -> T | Exception:
            try:
                return task(node)
            except Exception as error:
                return error

        return self.each(guarded, nodes)

    def script_each(self, scripts: Mapping[str, str], timeout: float = 30) -> dict[str, Output]:
        """Run each node's script on it, all at once."""
        return self.each(lambda node: self.run(node, scripts[node], timeout=timeout), list(scripts))

    def _execute(self, node: str, command: str, timeout: float, stdin: str) -> Output:
        connection = self._open(node)
        timeout *= self.patience
        try:
            result = connection.run(
                command,
                hide=True,
                warn=True,
                timeout=timeout,
                in_stream=_AtOnce(stdin) if stdin else False,
            )
        except invoke.exceptions.CommandTimedOut:
            raise UnreachableError(f"no answer within {timeout:.0f} s", node=node) from None
        except (OSError, EOFError, paramiko.SSHException) as problem:
            self._close(node)
            raise UnreachableError(f"the SSH connection broke: {problem}", node=node) from problem
        except invoke.exceptions.ThreadException as problem:
            # One of invoke's threads failed: most often the command ended before it had read its input.
            raise UnreachableError(
                "the command's input or output was cut off", node=node
            ) from problem
        return Output(result.stdout, result.stderr, result.exited)

    def _open(self, node: str) -> fabric.Connection:
        connection = self._connections[node]
        with self._locks[node]:
            if not connection.is_connected:
                self._close(node)
                proxy = self._ways[node].proxy
                if proxy:
                    self._tunnels[node] = Tunnel(proxy)
                    connection.connect_kwargs["sock"] = self._tunnels[node].sock
                _connect(connection, node, self._ways[node], self._tunnels.get(node))
        return connection

    def _close(self, node: str) -> None:
        self._connections[node].close()
        if tunnel := self._tunnels.pop(node, None):
            tunnel.close()


def source(program: str) -> str:
    """Return the source of a program of ``jepsenvm.machines.remote``; what it imports from there is put in its place."""
    return _IMPORT.sub(lambda found: _read(found[1]).replace(_FUTURE, ""), _read(program))


def _read(program: str) -> str:
    return files("jepsenvm.machines.remote").joinpath(f"{program}.py").read_text()


class _AtOnce(io.StringIO):
    """Text that is sent in one piece: invoke reads one character at a time, and sleeps for 10 ms after each."""

    def read(self, size: int | None = -1, /) -> str:  # noqa: ARG002 - that is the point
        return super().read()


class _AcceptNew(paramiko.MissingHostKeyPolicy):
    """Accepts the key of a host that is not known yet, and notes it as ssh does: at the end of the first file."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002 - paramiko's signature
        hostname: str,
        key: paramiko.PKey,
    ) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{hostname} {key.get_name()} {key.get_base64()}\n")


def _connection(way: SshRoute, connect_timeout: float) -> fabric.Connection:
    kwargs: dict[str, Any] = {
        "banner_timeout": connect_timeout,
        "auth_timeout": connect_timeout,
        "key_filename": list(way.keys),
        "look_for_keys": False,
        "allow_agent": way.agent,
    }
    connection = fabric.Connection(
        way.host,
        user=way.user,
        port=way.port,
        connect_timeout=connect_timeout,
        connect_kwargs=kwargs,
        config=fabric.Config(ssh_config=paramiko.SSHConfig()),  # ssh itself has read the files
    )
    for file in filter(os.path.exists, way.known_hosts):
        connection.client.load_system_host_keys(file)
    # Fabric accepts any unknown host by default; a changed or unknown key must stop us.
    policy = (
        _AcceptNew(way.known_hosts[0])
        if way.accept_new and way.known_hosts
        else paramiko.RejectPolicy()
    )
    connection.client.set_missing_host_key_policy(policy)
    return connection


def _connect(
    connection: fabric.Connection, node: str, way: SshRoute, tunnel: Tunnel | None
) -> None:
    try:
        connection.open()
    except paramiko.AuthenticationException:
        raise UsageError(
            f"{way} refused the SSH login",
            node=node,
            remedy="check ansible_user and the key file",
        ) from None
    except paramiko.BadHostKeyException:
        raise UsageError(f"{way} shows another host key than known_hosts has", node=node) from None
    except FileNotFoundError as problem:
        raise UsageError(f"the key file {problem.filename} does not exist", node=node) from None
    except (OSError, EOFError, paramiko.SSHException) as problem:
        if "not found in known_hosts" in str(problem):
            raise UsageError(
                f"{way} shows a host key that is not known",
                node=node,
                remedy="add it to known_hosts, or accept new ones: "
                "ansible_ssh_common_args: -o StrictHostKeyChecking=accept-new",
            ) from None
        raise UnreachableError(
            f"no SSH to {way}: {(tunnel and tunnel.said()) or problem}",
            node=node,
            remedy="check that the host is up and its address right",
        ) from problem


def _reason(output: Output) -> str:
    """Return the line that says why: one that calls itself an error, else the last."""
    lines = (output.stderr.strip() or output.stdout.strip() or "it said nothing").splitlines()
    return next((line for line in lines if line.lower().startswith("error")), lines[-1])


def _short(script: str) -> str:
    line = " ".join(script.split())
    return line if len(line) <= 80 else f"{line[:77]}..."
