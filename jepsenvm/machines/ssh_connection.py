"""One SSH connection to a node along its route, with host keys checked."""

from __future__ import annotations

import itertools
import logging
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import fabric
import fabric.runners
import paramiko

from jepsenvm.errors import UnreachableError, UsageError, shorten
from jepsenvm.machines.known_hosts import HostKeys, host_keys, lookup_name
from jepsenvm.machines.ssh_login import login_refusal
from jepsenvm.machines.ssh_route import SshRoute, Tunnel

_LOGIN_REFUSED: Final = re.compile(r"Authentication (\(.*\) failed|type \(.*\) not permitted)")
"""paramiko's log lines for a refused key or password."""

_REFUSED_BY_JUMP_HOST: Final = re.compile(
    "permission denied|host key verification failed|too many authentication failures|passphrase",
    re.IGNORECASE,
)

_NUMBERS: Final = itertools.count()


class Command(fabric.runners.Remote):  # type: ignore[misc]  # fabric publishes no types
    """A command that a timeout ends without a traceback."""

    def kill(self) -> None:
        """Close the channel of a command that took too long; ignore a connection that broke.

        A thread of its own calls this, so an error would only be printed. The caller gets the
        timeout anyway.
        """
        with suppress(OSError, EOFError, paramiko.SSHException, AttributeError):
            super().kill()


def new_connection(route: SshRoute, timeout: float) -> fabric.Connection:
    """Return an unopened connection; ``timeout`` is in seconds, for each step of the login."""
    arguments: dict[str, Any] = {
        "banner_timeout": timeout,
        "auth_timeout": timeout,
        "channel_timeout": timeout,
        "key_filename": list(route.keys),
        "look_for_keys": False,
        "allow_agent": route.agent,
        "password": route.password,
        "passphrase": route.passphrase,
    }
    connection = fabric.Connection(
        route.host,
        user=route.user,
        port=route.port,
        connect_timeout=timeout,
        connect_kwargs=arguments,
        # ssh itself has read its configuration files for the route.
        config=fabric.Config(
            overrides={"runners": {"remote": Command}}, ssh_config=paramiko.SSHConfig()
        ),
    )
    keys = host_keys(route.known_hosts, route.host_key_name or route.host, route.port)
    for key in keys.accepted:
        name = lookup_name(route.host, route.port)
        connection.client.get_host_keys().add(name, key.get_name(), key)
    # fabric accepts any unknown host by default. An unknown or changed key must end the run.
    accept_new = route.accept_new and bool(route.known_hosts)
    connection.client.set_missing_host_key_policy(_UnknownKey(route, keys, accept_new=accept_new))
    # sshd's reason for closing a connection is in paramiko's log only.
    connection.client.set_log_channel(f"jepsenvm.ssh.{next(_NUMBERS)}")
    return connection


def open_connection(
    connection: fabric.Connection, node: str, route: SshRoute, tunnel: Tunnel | None
) -> None:
    """Open a connection.

    Raise UsageError for a login or a host key that is refused, UnreachableError without an answer.
    """
    try:
        with _Disconnects(connection) as disconnects:
            connection.open()
    except UsageError as problem:
        raise UsageError(problem.message, node=node, remedy=problem.remedy) from None
    except paramiko.BadHostKeyException:
        raise UsageError(
            f"{route} has another host key than known_hosts",
            node=node,
            remedy="check that it is the right host, then remove its old key",
        ) from None
    except Exception as problem:  # for malformed keys, paramiko raises errors of many types
        refusal = login_refusal(
            connection, route, problem, disconnects.reason, refused=disconnects.refused
        )
        if refusal:
            message, remedy = refusal
            raise UsageError(message, node=node, remedy=remedy) from None
        last_error = tunnel.last_error() if tunnel else ""
        if _REFUSED_BY_JUMP_HOST.search(last_error):
            raise UsageError(
                f"the jump host to {route.host}:{route.port} refused the SSH login: "
                f"{shorten(last_error, 200)}",
                node=node,
                remedy="check the user and the key for the jump host: ssh must log in to it "
                "without a question",
            ) from None
        reason = last_error or disconnects.reason or _failure(connection, problem)
        raise UnreachableError(
            f"no SSH to {route}: {shorten(reason, 200)}",
            node=node,
            remedy="check that the host is up and its address right",
        ) from problem


def _failure(connection: fabric.Connection, problem: Exception) -> str:
    transport = connection.client.get_transport()
    if transport is not None and transport.initial_kex_done:
        return "it did not answer the login"
    return str(getattr(problem, "strerror", None) or problem)


class _UnknownKey(paramiko.MissingHostKeyPolicy):
    """Refuses the key of an unknown host, or accepts and stores it as ssh does."""

    def __init__(self, route: SshRoute, keys: HostKeys, *, accept_new: bool) -> None:
        self._route = route
        self._keys = keys
        self._accept_new = accept_new

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002 - paramiko's signature
        hostname: str,
        key: paramiko.PKey,
    ) -> None:
        """Append the key to the first file, or raise UsageError."""
        if key in self._keys.revoked:
            raise UsageError(
                f"{self._route} has a host key that known_hosts marks as revoked",
                remedy="check that it is the right host, and give it a new key",
            )
        if not self._accept_new:
            raise self._unknown()
        name = self._route.host_key_name
        listed = lookup_name(name, self._route.port) if name else hostname
        self._store(f"{listed} {key.get_name()} {key.get_base64()}\n")

    def _unknown(self) -> UsageError:
        if self._keys.has_authority:
            return UsageError(
                f"{self._route} has a host key that only an authority in known_hosts may vouch for",
                remedy="add the key itself: jepsenvm does not check certificates of hosts",
            )
        return UsageError(
            f"{self._route} has an unknown host key",
            remedy="add it to known_hosts, or accept new ones: "
            "ansible_ssh_common_args: -o StrictHostKeyChecking=accept-new",
        )

    def _store(self, line: str) -> None:
        path = Path(self._route.known_hosts[0])
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("ab+") as file:
                file.seek(0, 2)
                # The last line of a file that was edited by hand may lack its end.
                if file.tell() and not _ends_with_newline(path):
                    file.write(b"\n")
                file.write(line.encode())
        except OSError as error:
            raise UsageError(
                f"cannot store a host key in {path}: {error.strerror}",
                remedy="make the file writable, or name another with UserKnownHostsFile",
            ) from error


def _ends_with_newline(path: Path) -> bool:
    return path.read_bytes().endswith(b"\n")


class _Disconnects(logging.Handler):
    """Listens to paramiko's log of a connection for the reason why sshd closes it."""

    def __init__(self, connection: fabric.Connection) -> None:
        super().__init__(logging.DEBUG)
        # paramiko adds this prefix nowhere: the name of the channel is the name of the logger.
        self._logger = logging.getLogger(connection.client._log_channel)
        self.reason = ""
        self.refused = False
        """Whether the host refused a key or the password."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the reason of a disconnect message, and whether a login was refused."""
        if _LOGIN_REFUSED.match(record.getMessage()):
            self.refused = True
        match = re.search(r"Disconnect \(code \d+\): (.*)", record.getMessage())
        if match:
            self.reason = match[1]

    def __enter__(self) -> _Disconnects:
        self._logger.addHandler(self)
        self._logger.setLevel(logging.DEBUG)
        self._logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
