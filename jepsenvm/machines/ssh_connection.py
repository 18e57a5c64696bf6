"""One SSH connection to a node along its route, with host keys checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fabric
import paramiko

from jepsenvm.errors import UnreachableError, UsageError
from jepsenvm.machines.ssh_route import SshRoute, Tunnel


def new_connection(route: SshRoute, timeout: float) -> fabric.Connection:
    """Return an unopened connection; ``timeout`` is in seconds, for each step of the login."""
    arguments: dict[str, Any] = {
        "banner_timeout": timeout,
        "auth_timeout": timeout,
        "channel_timeout": timeout,
        "key_filename": list(route.keys),
        "look_for_keys": False,
        "allow_agent": route.agent,
    }
    connection = fabric.Connection(
        route.host,
        user=route.user,
        port=route.port,
        connect_timeout=timeout,
        connect_kwargs=arguments,
        # ssh itself has read its configuration files for the route.
        config=fabric.Config(ssh_config=paramiko.SSHConfig()),
    )
    for file in filter(os.path.exists, route.known_hosts):
        connection.client.load_system_host_keys(file)
    # fabric accepts any unknown host by default. An unknown or changed key must end the run.
    policy: paramiko.MissingHostKeyPolicy = paramiko.RejectPolicy()
    if route.accept_new and route.known_hosts:
        policy = _AcceptNew(route.known_hosts[0])
    connection.client.set_missing_host_key_policy(policy)
    return connection


def open_connection(
    connection: fabric.Connection, node: str, route: SshRoute, tunnel: Tunnel | None
) -> None:
    """Open a connection.

    Raise UsageError for a login or a host key that is refused, UnreachableError without an answer.
    """
    try:
        connection.open()
    except paramiko.AuthenticationException as problem:
        if _is_silence(problem):
            raise UnreachableError(
                f"no SSH to {route}: it did not answer the login",
                node=node,
                remedy="check that the host is up and its address right",
            ) from problem
        raise UsageError(
            f"{route} refused the SSH login",
            node=node,
            remedy="check ansible_user and the key file",
        ) from None
    except paramiko.BadHostKeyException:
        raise UsageError(
            f"{route} has another host key than known_hosts",
            node=node,
            remedy="check that it is the right host, then remove its old key",
        ) from None
    except FileNotFoundError as problem:
        raise UsageError(
            f"the key file {problem.filename} does not exist",
            node=node,
            remedy="correct ansible_ssh_private_key_file",
        ) from None
    except (OSError, EOFError, paramiko.SSHException) as problem:
        if "not found in known_hosts" in str(problem):
            raise UsageError(
                f"{route} has an unknown host key",
                node=node,
                remedy="add it to known_hosts, or accept new ones: "
                "ansible_ssh_common_args: -o StrictHostKeyChecking=accept-new",
            ) from None
        reason = (tunnel.last_error() if tunnel else "") or problem
        raise UnreachableError(
            f"no SSH to {route}: {reason}",
            node=node,
            remedy="check that the host is up and its address right",
        ) from problem


def _is_silence(problem: paramiko.AuthenticationException) -> bool:
    """Return whether a login failed because the host did not answer; paramiko has no error for it.

    The texts are those of paramiko's ``auth_handler.wait_for_response``.
    """
    return any(text in str(problem) for text in ("Authentication timeout", "transport shut down"))


class _AcceptNew(paramiko.MissingHostKeyPolicy):
    """Accepts the key of an unknown host, and stores it as ssh does: in the first file."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002 - paramiko's signature
        hostname: str,
        key: paramiko.PKey,
    ) -> None:
        """Append the key to the file."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{hostname} {key.get_name()} {key.get_base64()}\n")
