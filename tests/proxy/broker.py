"""A private RabbitMQ: one node on loopback, from the distribution's packages, without a service.

The packages are unpacked into a cache, not installed, so nothing else on the machine changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from jepsenvm.rabbitmq.amqp import Address

START_TIMEOUT_S: Final = 180.0
STOP_TIMEOUT_S: Final = 60.0
GUARD: Final = Path(__file__).parent / "guard.py"
CACHE: Final = Path(
    "/var/cache/jepsenvm-tests" if os.geteuid() == 0 else Path.home() / ".cache/jepsenvm-tests"
)
HOST: Final = "127.0.0.1"


class Broker:
    """A running node."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self.folder = folder
        self.port, self._dist_port, self._epmd_port = _free_ports(3)
        self._guard: subprocess.Popen[bytes] | None = None

    def address(self, node: str, port: int | None = None) -> Address:
        """Return the address of the node, or of a proxy on another port, under a node's name."""
        return Address(node, HOST, port or self.port, "guest", "guest")

    def start(self) -> None:
        """Start the node, and wait until it accepts connections."""
        self.folder.mkdir(parents=True)
        log = (self.folder / "output.log").open("wb")
        (self.folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = {HOST}:{self.port}\n")
        (self.folder / "enabled_plugins").write_text("[].\n")
        epmd = str(self._erlang / "bin/epmd")
        server = str(self._sbin / "rabbitmq-server")
        with log:
            self._guard = subprocess.Popen(
                [sys.executable, str(GUARD), str(self.folder), epmd, str(self._epmd_port), server],
                env=self._environment,
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that a signal to the test's group does not end it
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._accepts():
            if self._guard.poll() is not None or time.monotonic() > deadline:
                text = (self.folder / "output.log").read_text(errors="replace")
                raise RuntimeError(f"RabbitMQ did not start:\n{text[-3000:]}")
            time.sleep(0.1)
        mirrored = ("^proxied[.]mirrored[.]", '{"ha-mode": "all"}')
        self.ctl("set_policy", "--apply-to", "queues", "mirrored", *mirrored)

    def stop(self) -> None:
        """End the node and its port mapper. Nothing in it is worth a clean shutdown."""
        if self._guard is not None:
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard.wait(STOP_TIMEOUT_S)

    def ctl(self, *words: str) -> str:
        """Return the output of ``rabbitmqctl``."""
        done = subprocess.run(
            [str(self._sbin / "rabbitmqctl"), "--quiet", "-n", self._node, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout

    def queues(self) -> list[dict[str, Any]]:
        """Return every queue with its counts of messages."""
        columns = ("name", "messages", "messages_ready", "messages_unacknowledged")
        answer = self.ctl("list_queues", "--formatter", "json", *columns)
        return [dict(entry) for entry in json.loads(answer)]

    def bindings(self) -> list[dict[str, Any]]:
        """Return every binding."""
        columns = ("source_name", "destination_name", "routing_key")
        answer = self.ctl("list_bindings", "--formatter", "json", *columns)
        return [dict(entry) for entry in json.loads(answer)]

    @property
    def _erlang(self) -> Path:
        return self._root / "usr/lib/erlang"

    @property
    def _sbin(self) -> Path:
        (home,) = (self._root / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*")
        return home / "sbin"

    @property
    def _node(self) -> str:
        return "proxied@localhost"

    @property
    def _environment(self) -> Mapping[str, str]:
        folder = str(self.folder)
        loopback = "{127,0,0,1}"
        return {
            **os.environ,
            "PATH": f"{self._erlang / 'bin'}:{os.environ['PATH']}",
            "HOME": folder,  # with the cookie
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",  # so that it can be ended
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/rabbitmq-env.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {loopback} +sbwt none",
        }

    def _accepts(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=2) as connection:
                connection.sendall(b"AMQP\0\0\x09\x01")
                return len(connection.recv(1)) == 1
        except OSError:
            return False


@contextmanager
def running(folder: Path) -> Iterator[Broker]:
    """Start a node with its data below a folder, and end it at the end of the context."""
    broker = Broker(unpacked(), folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def unpacked() -> Path:
    """Return the folder with RabbitMQ and Erlang; download and unpack them if necessary.

    Test processes that start at the same time wait for the first.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _unpacked()


def _unpacked() -> Path:
    if not _lists():
        _run("apt-get", "update", "-q")
    candidates = _run("apt-cache", "policy", "rabbitmq-server", "erlang-base")
    name = hashlib.sha256(candidates.encode()).hexdigest()[:12]
    root = CACHE / f"rabbitmq-{name}"
    if root.is_dir():
        return root
    draft = CACHE / f".{name}"
    shutil.rmtree(draft, ignore_errors=True)
    debs = draft / "debs"
    debs.mkdir(parents=True)
    # apt gives up root's rights before it downloads, unless the folder forbids that.
    _run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *_packages(), cwd=debs)
    for deb in sorted(debs.glob("*.deb")):
        _run("dpkg-deb", "-x", str(deb), str(draft))
    shutil.rmtree(debs)
    # Erlang's start scripts name the folder in which the package would be.
    for script in (draft / "usr/lib/erlang").glob("**/bin/*"):
        if script.is_file() and (content := script.read_bytes()).startswith(b"#!/bin/sh"):
            script.write_bytes(
                content.replace(b"=/usr/lib/erlang", f"={root}/usr/lib/erlang".encode())
            )
    draft.rename(root)
    return root


def _lists() -> bool:
    return any(Path("/var/lib/apt/lists").glob("*_Packages*"))


def _packages() -> list[str]:
    kinds = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    options = [f"--no-{kind}" for kind in kinds]
    tree = _run("apt-cache", "depends", "--recurse", *options, "rabbitmq-server")
    lines = {line for line in tree.splitlines() if not line.startswith((" ", "<"))}
    return sorted(name for name in lines if name.startswith(("erlang-", "rabbitmq-server")))


def _run(*argv: str, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr}")
    return done.stdout


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
