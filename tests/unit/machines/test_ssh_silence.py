"""Hosts that accept a TCP connection and then fall silent: no wait for them is without an end."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import invoke
import paramiko
import pytest

from jepsenvm.errors import RunError, UnreachableError
from jepsenvm.machines import ssh, ssh_connection, ssh_deadline
from jepsenvm.machines.ssh import Fleet
from jepsenvm.machines.ssh_route import SshRoute
from tests.unit.fakes import node

STAGES = ("banner", "login", "channel", "command", "output", "input", "end")
ENOUGH_S = 30.0
"""Far more than any of the shortened deadlines; a wait without an end fails the test then."""


class Host(paramiko.ServerInterface):
    """An sshd that runs no command; it prints "done", and freezes at one stage."""

    def __init__(self, freezes_at: str, thawed: threading.Event) -> None:
        self.freezes_at = freezes_at
        self.thawed = thawed
        self.full = False

    def freeze(self, stage: str) -> None:
        """Stop the thread that answers, as SIGSTOP does."""
        if stage == self.freezes_at:
            self.thawed.wait(ENOUGH_S * 2)

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.freeze("login")
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self.freeze("channel")
        if self.full:
            return paramiko.common.OPEN_FAILED_RESOURCE_SHORTAGE
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.freeze("command")
        if self.freezes_at == "input":
            # Nobody reads the input, so the window fills up.
            return True
        answer = self.kill if b"killed" in command else self.answer
        threading.Thread(target=answer, args=(channel,), daemon=True).start()
        return True

    def kill(self, channel: paramiko.Channel) -> None:
        """Close the channel without an exit status, as sshd does after a signal killed the command."""
        time.sleep(0.2)
        channel.close()

    def answer(self, channel: paramiko.Channel) -> None:
        time.sleep(0.2)  # paramiko first answers the request itself
        self.freeze("output")
        with suppress(OSError):  # the client may have given up
            channel.sendall(b"done\n")
            self.freeze("end")
            channel.send_exit_status(0)
            channel.close()


class Server:
    """Listens on loopback with one ``Host`` for each connection."""

    def __init__(self, freezes_at: str) -> None:
        self.host = Host(freezes_at, threading.Event())
        self.key = paramiko.RSAKey.generate(2048)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.transports: list[paramiko.Transport] = []
        self.sockets: list[socket.socket] = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(accepted)
            if self.host.freezes_at == "banner":
                continue
            transport = paramiko.Transport(accepted)
            transport.add_server_key(self.key)
            transport.start_server(event=threading.Event(), server=self.host)
            self.transports.append(transport)

    def close(self) -> None:
        self.host.thawed.set()
        self.listener.close()
        for transport in self.transports:
            transport.close()
        for accepted in self.sockets:
            accepted.close()


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    started: list[Server] = []
    yield started
    for server in started:
        server.close()


@pytest.fixture
def key(tmp_path: Path) -> str:
    file = tmp_path / "key"
    paramiko.RSAKey.generate(2048).write_private_key_file(str(file))
    return str(file)


@pytest.fixture(autouse=True)
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "GRACE_S", 0.5)
    monkeypatch.setattr(ssh_deadline, "SILENT_S", 3.0)
    monkeypatch.setattr(ssh_deadline, "KEEPALIVE_S", 0.2)


def fleet_of(monkeypatch: pytest.MonkeyPatch, key: str, ports: dict[str, int]) -> Fleet:
    def route(to: Any) -> SshRoute:
        known_hosts = f"{key}.known"
        return SshRoute(
            "127.0.0.1", ports[to.name], "root", (key,), (known_hosts,), True, False, None
        )

    monkeypatch.setattr(ssh, "ssh_route", route)
    nodes = [replace(node(name), ssh_host="127.0.0.1") for name in ports]
    return Fleet(nodes, connect_timeout=1.0)


def in_time(task: Any) -> Any:
    """Return the result of a task, or its error; fail if it takes too long."""
    results: list[Any] = []

    def work() -> None:
        try:
            results.append(task())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(ENOUGH_S)
    assert results, "it waits without an end"
    return results[0]


@pytest.mark.parametrize("stage", STAGES)
def test_a_host_that_falls_silent_is_given_up_and_the_others_answer(
    servers: list[Server], monkeypatch: pytest.MonkeyPatch, key: str, stage: str
) -> None:
    servers += [Server(stage), Server("never")]
    ports = {"n1": servers[0].port, "n2": servers[1].port}
    fleet = fleet_of(monkeypatch, key, ports)
    answered = threading.Event()

    def command(name: str) -> str:
        text = "x" * 5_000_000 if (stage, name) == ("input", "n1") else ""
        stdout = fleet.run(name, "true", timeout=1.0, stdin=text).stdout
        if name == "n2":
            answered.set()
        return stdout

    answers = in_time(lambda: fleet.each_or_error(command))
    assert answered.is_set(), answers
    assert answers["n2"] == "done\n"
    assert isinstance(answers["n1"], UnreachableError), answers
    assert answers["n1"].node == "n1"
    assert in_time(fleet.close) is None


def test_a_host_that_freezes_between_two_commands_loses_its_connection(
    servers: list[Server], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """Its kernel still acknowledges packets, so only sshd's silence shows it."""
    servers.append(Server("never"))
    fleet = fleet_of(monkeypatch, key, {"n1": servers[0].port})
    assert fleet.run("n1", "true", timeout=5).stdout == "done\n"
    servers[0].host.freezes_at = "channel"
    # The keepalive closes the connection long before the command's own deadline.
    answer = in_time(lambda: fleet.each_or_error(lambda name: fleet.run(name, "x", timeout=600)))
    assert isinstance(answer["n1"], UnreachableError)
    fleet.close()


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(20.0, "a signal killed it"), (0.1, "no answer within 0 s")],
    ids=["killed", "overdue"],
)
def test_a_command_without_a_status_leaves_the_others_of_its_node_alone(
    servers: list[Server], monkeypatch: pytest.MonkeyPatch, key: str, timeout: float, error: str
) -> None:
    # invoke closes the channel of a command that is overdue, and does not always say so.
    monkeypatch.setattr(invoke.runners.Runner, "timed_out", property(lambda _runner: False))
    servers.append(Server("output"))
    fleet = fleet_of(monkeypatch, key, {"n1": servers[0].port})
    others: list[Any] = []
    waiting = threading.Thread(target=lambda: others.append(fleet.run("n1", "x", timeout=20)))
    waiting.start()
    for _ in range(3):
        answer = in_time(lambda: fleet.run("n1", "killed", timeout=timeout))
        assert isinstance(answer, RunError)
        assert error in str(answer)
    servers[0].host.thawed.set()
    waiting.join(ENOUGH_S)
    assert [output.stdout for output in others] == ["done\n"]
    fleet.close()


def test_a_connection_without_a_free_session_is_replaced(
    servers: list[Server], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    servers.append(Server("never"))
    fleet = fleet_of(monkeypatch, key, {"n1": servers[0].port})
    assert fleet.run("n1", "x").stdout == "done\n"
    servers[0].host.full = True
    with pytest.raises(UnreachableError, match="n1: the SSH connection is full"):
        fleet.run("n1", "x")
    servers[0].host.full = False
    assert fleet.run("n1", "x").stdout == "done\n"
    assert len(servers[0].transports) == 2
    fleet.close()


def test_a_task_that_never_returns_is_given_up(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    fleet = fleet_of(monkeypatch, key, {"n1": 1, "n2": 1})
    for_ever = threading.Event()

    def task(name: str) -> str:
        if name == "n1":
            for_ever.wait()
        return name

    answers = in_time(lambda: fleet.each_or_error(task, deadline=0.5))
    assert answers["n2"] == "n2"
    assert str(answers["n1"]) == "n1: no answer within 0.5 s"
    for _ in range(20):  # stuck tasks use up no pool
        fleet.each_or_error(task, ["n1"], deadline=0.001)
    assert fleet.each(task, ["n2"]) == {"n2": "n2"}


def test_a_stuck_task_does_not_keep_the_process_alive() -> None:
    program = (
        "import threading\n"
        "from tests.unit.fakes import FakeFleet\n"
        "fleet = FakeFleet()\n"
        "print(fleet.each_or_error(lambda node: threading.Event().wait(), deadline=0.1))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert "no answer within 0.1 s" in done.stdout


@pytest.mark.parametrize("stdout", ["", "no json", '{"a": ', "[" * 100_000, "\ufeff{}"])
def test_an_answer_that_is_no_json_is_an_error_of_its_node(
    monkeypatch: pytest.MonkeyPatch, key: str, stdout: str
) -> None:
    fleet = fleet_of(monkeypatch, key, {"n1": 1})
    output = ssh.Output(stdout, "", 0)
    monkeypatch.setattr(fleet, "run", lambda *_arguments, **_options: output)
    with pytest.raises(RunError, match=r"^n1: the program facts printed .* instead of JSON$"):
        fleet.python("n1", "facts")


@pytest.mark.parametrize("answer", [None, [], {}, "text", 7])
def test_an_answer_of_another_shape_is_an_error_of_its_node(
    monkeypatch: pytest.MonkeyPatch, key: str, answer: Any
) -> None:
    fleet = fleet_of(monkeypatch, key, {"n1": 1})
    with pytest.raises(RunError, match=r"^n1: its answer was not understood: "):
        fleet.each(lambda _name: answer["fired"])


@pytest.mark.parametrize("error", [EOFError(), OSError("broken pipe"), paramiko.SSHException()])
def test_a_timeout_on_a_broken_connection_prints_nothing(error: Exception) -> None:
    class Channel:
        def close(self) -> None:
            raise error

    route = SshRoute("192.0.2.1", 22, "root", (), (), accept_new=False, agent=False, proxy=None)
    connection = ssh_connection.new_connection(route, 1.0)
    command = connection.config.runners.remote(context=connection)
    command.channel = Channel()
    command.kill()
