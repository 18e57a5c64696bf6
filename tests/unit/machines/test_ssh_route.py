"""The way to a node as ssh itself tells it; nothing is connected."""

from __future__ import annotations

from pathlib import Path

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.machines.inventory_node import Node
from jepsenvm.machines.ssh_route import Tunnel, parse_route, ssh_route

GATE = """Host gate
  HostName 192.0.2.9
  Port 2200
Host alias
  HostName 10.0.0.1
  User admin
  Port 2222
  ProxyJump first,me@gate:2200
  StrictHostKeyChecking accept-new
  UserKnownHostsFile {folder}/known
  IdentityFile {folder}/key
  IdentitiesOnly yes
"""


def node(
    *args: str,
    host: str = "alias",
    port: int | None = None,
    user: str | None = None,
    key: str | None = None,
) -> Node:
    return Node("n1", host, port, user, key, None, None, "10.0.0.1", "10.0.0.1", 5672, args)


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "config"
    file.write_text(GATE.format(folder=tmp_path))
    (tmp_path / "key").touch()
    return str(file)


def test_a_configuration_file_is_honoured(config: str, tmp_path: Path) -> None:
    found = ssh_route(node("-F", config))
    assert (found.user, found.host, found.port) == ("admin", "10.0.0.1", 2222)
    assert found.keys == (str(tmp_path / "key"),)
    assert found.known_hosts[0] == str(tmp_path / "known")
    assert found.accept_new
    assert not found.agent
    jump = ("-J", "first", "-W", "[10.0.0.1]:2222", "ssh://me@gate:2200")
    assert found.proxy == ("ssh", "-o", "BatchMode=yes", "-F", config, *jump)
    assert str(found) == "admin@10.0.0.1:2222 through its jump host"


def test_the_inventory_wins_over_it(config: str) -> None:
    found = ssh_route(
        node("-F", config, "-o", "ProxyJump=none", port=22, user="root", key="/keys/id")
    )
    assert (found.user, found.port, found.keys, found.agent, found.proxy) == (
        "root",
        22,
        ("/keys/id",),
        False,
        None,
    )


@pytest.mark.parametrize(
    "args",
    [("-J", "me@gate"), ("-Jme@gate",), ("-o", "ProxyJump=me@gate"), ("-oProxyJump me@gate",)],
)
def test_a_jump_host_in_any_spelling(args: tuple[str, ...]) -> None:
    found = ssh_route(node("-F", "none", *args, host="2001:db8::1"))
    assert found.proxy == (
        "ssh",
        "-o",
        "BatchMode=yes",
        "-F",
        "none",
        "-W",
        "[2001:db8::1]:22",
        "ssh://me@gate",
    )


def test_a_proxy_command_gets_its_tokens() -> None:
    found = ssh_route(
        node("-F", "none", "-o", "ProxyCommand=nc -x 100%% %h %p # %r", host="10.0.0.7", user="me")
    )
    assert found.proxy == ("/bin/sh", "-c", "exec nc -x 100% 10.0.0.7 22 # me")


@pytest.mark.parametrize("policy", ["yes", "ask", "no"])
def test_unknown_keys_are_accepted_only_where_that_is_said(policy: str) -> None:
    assert not ssh_route(node("-F", "none", "-o", f"StrictHostKeyChecking={policy}")).accept_new
    assert ssh_route(node("-F", "none", "-o", "StrictHostKeyChecking=accept-new")).accept_new


def test_arguments_that_ssh_does_not_take_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"^n1: ssh refuses its arguments: .*nonsense.*; correct ansible"
    ):
        ssh_route(node("-F", "none", "-o", "Nonsense=1"))


def test_a_tunnel_is_a_socket_that_ends_with_its_command() -> None:
    tunnel = Tunnel(("/bin/sh", "-c", "read line; echo got $line; echo no way >&2"))
    tunnel.sock.sendall(b"this\n")
    assert tunnel.sock.recv(100) == b"got this\n"
    assert tunnel.sock.recv(100) == b""
    assert tunnel.last_error() == "no way"
    tunnel.close()


@pytest.mark.parametrize(
    "output", ["", "hostname h\nport 22", "hostname h\nport x\nuser u", 'user "\n']
)
def test_an_answer_of_ssh_that_is_not_understood_is_refused(output: str) -> None:
    with pytest.raises(UsageError, match=r"^n1: the output of `ssh -G` is not understood: "):
        parse_route(output, node())
