"""What the logs of brokers show about a queue that a client deleted."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.machines.ssh import Output
from jepsenvm.rabbitmq.deletion_log import deleted_by_clients
from jepsenvm.rabbitmq.names import LOG_DIR
from tests.unit.fakes import FakeFleet

QUEUE = "jepsenvm.quorum.20261129T120000.5Z"
DELETED = f"queue '{QUEUE}' in vhost '/': terminating with reason 'delete'"
PLAIN = f"2026-11-29 12:00:01.000000+00:00 [notice] <0.700.0> {DELETED}\n"


class Hosts(FakeFleet):
    """Hosts that run their scripts on this machine, each in a folder of its own."""

    folder: Path

    def run(
        self, node: str, script: str, *, timeout: float = 30, stdin: str = "", **_: Any
    ) -> Output:
        self._require_answer(node)
        script = script.replace(LOG_DIR, f"{self.folder}/{node}")
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        return Output(done.stdout, done.stderr, done.returncode)


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    made = Hosts("n1", "n2")
    made.folder = tmp_path
    for node in made.nodes:
        (tmp_path / node).mkdir()
    return made


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("rabbit@n2.log", PLAIN),
        ("rabbit@n2.log.1", PLAIN),
        ("rabbit@n2.log", f'{{"level":"notice","msg":"{DELETED}"}}\n'),
    ],
)
def test_one_log_is_enough(hosts: Hosts, file: str, line: str) -> None:
    (hosts.folder / "n2" / file).write_text(f"before\n{line}after\n")
    assert deleted_by_clients(hosts, ["other", QUEUE]) == {QUEUE}
    hosts.broken.add("n1")
    assert deleted_by_clients(hosts, ["other", QUEUE]) == {QUEUE}
    hosts.broken.add("n2")
    assert not deleted_by_clients(hosts, [QUEUE])


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("rabbit@n1.log", PLAIN.replace(QUEUE, f"{QUEUE}0")),
        ("rabbit@n1.log", PLAIN.replace(".5Z", "x5Z")),
        ("rabbit@n1.log", PLAIN.replace("vhost '/'", "vhost 'other'")),
        ("rabbit@n1.log", PLAIN.replace("delete", "normal")),
        ("notes.txt", PLAIN),
    ],
)
def test_other_lines_show_nothing(hosts: Hosts, file: str, line: str) -> None:
    (hosts.folder / "n1" / file).write_text(line)
    assert not deleted_by_clients(hosts, [QUEUE])


def test_a_name_is_no_shell_command(hosts: Hosts) -> None:
    name = "x'; touch $HOME/broken; echo '"
    line = f"queue '{name}' in vhost '/': terminating with reason 'delete'"
    (hosts.folder / "n1" / "rabbit@n1.log").write_text(line)
    assert deleted_by_clients(hosts, [name]) == {name}
