"""What is said about a login that a node refuses. The node is an SSH server on the loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from paramiko import common

from jepsenvm.errors import UnreachableError, UsageError
from jepsenvm.machines.ssh_connection import new_connection, open_connection
from jepsenvm.machines.ssh_route import SshRoute, Tunnel

HOST_KEY = paramiko.ECDSAKey.generate()


class Server(paramiko.ServerInterface):
    """Accepts the password `secret`, and no key."""

    def get_allowed_auths(self, username: str) -> str:
        return "password,publickey"

    def check_auth_password(self, username: str, password: str) -> int:
        return common.AUTH_SUCCESSFUL if password == "secret" else common.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return common.AUTH_FAILED


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server that answers connections until the test ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    transports = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(HOST_KEY)
            transports.append(transport)
            transport.start_server(server=Server())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    for transport in transports:
        transport.close()


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with keys of each kind."""
    key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(tmp_path / "plain"))
    key.write_private_key_file(str(tmp_path / "locked"), password="open sesame")
    (tmp_path / "garbage").write_bytes(b"\xff\x00" * 50)
    (tmp_path / "folder").mkdir()
    return tmp_path


def open_to(port: int, folder: Path, marker: str = "", **changes: Any) -> None:
    known = folder / "known_hosts"
    known.write_text(f"{marker}[127.0.0.1]:{port} {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n")
    route: dict[str, Any] = {
        **{"host": "127.0.0.1", "port": port, "user": "admin", "keys": ()},
        **{"known_hosts": (str(known),), "accept_new": False, "agent": False, "proxy": None},
        **changes,
    }
    if route["keys"]:
        route["keys"] = tuple(str(folder / name) for name in route["keys"])
    whole = SshRoute(**route)
    connection = new_connection(whole, 20)
    try:
        open_connection(connection, "n1", whole, None)
    finally:
        connection.close()


def test_a_password_logs_in(port: int, keys: Path) -> None:
    open_to(port, keys, password="secret")
    open_to(port, keys, keys=["plain"], password="secret")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"password": "wrong"}, "refused the SSH login with the password"),
        ({"keys": ["plain"]}, "refused the SSH login with the key"),
        ({}, "there is no key and no password"),
        ({"keys": ["locked"]}, "needs a passphrase"),
        ({"keys": ["locked"], "passphrase": "wrong"}, "has another passphrase"),
        ({"keys": ["locked"], "passphrase": "open sesame"}, "refused the SSH login with the key"),
        ({"keys": ["garbage"]}, "is not a private key"),
        ({"keys": ["folder"]}, "cannot be read: Is a directory"),
        ({"keys": ["missing"]}, "cannot be read: No such file"),
    ],
)
def test_a_refused_login_says_what_was_tried(
    port: int, keys: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=r"^n1: ") as refused:
        open_to(port, keys, **changes)
    assert says in str(refused.value)
    assert "check that the host is up" not in str(refused.value)
    assert "wrong" not in str(refused.value)


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        ("other", "unknown host key"),
        ("@revoked ", "marks as revoked"),
        ("@cert-authority ", "only an authority"),
    ],
)
@pytest.mark.parametrize("accept_new", [False, True])
def test_a_host_key_that_is_not_accepted(
    port: int, keys: Path, marker: str, says: str, accept_new: bool
) -> None:
    if accept_new and marker != "@revoked ":
        return
    with pytest.raises(UsageError) as refused:
        open_to(port, keys, marker, password="secret", accept_new=accept_new)
    assert says in str(refused.value)


def test_a_port_without_a_server_is_unreachable(keys: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnreachableError, match="check that the host is up"):
        open_to(port, keys, keys=["plain"])


def test_a_jump_host_that_refuses_the_login_is_named(keys: Path) -> None:
    route = SshRoute(
        host="192.0.2.1",
        port=22,
        user="admin",
        keys=(str(keys / "plain"),),
        known_hosts=(),
        accept_new=False,
        agent=False,
        proxy=("sh",),
    )
    refused = "echo 'me@gate: Permission denied (publickey).' >&2; exec <&- >&-; sleep 0.1"
    tunnel = Tunnel(("/bin/sh", "-c", refused))
    connection = new_connection(route, 5)
    connection.connect_kwargs["sock"] = tunnel.sock
    with pytest.raises(UsageError, match=r"the jump host to 192\.0\.2\.1:22 refused the SSH login"):
        open_connection(connection, "n1", route, tunnel)
    tunnel.close()
