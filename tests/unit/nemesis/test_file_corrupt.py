"""Corrupted files: on which nodes, what proves the corruption, and how it is healed."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jepsenvm.errors import RunError, UsageError
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.registry import stages
from jepsenvm.nemesis.request import FaultRequest
from jepsenvm.rabbitmq.names import CORRUPTED_DIR, SERVICE
from tests.unit.nemesis.builders import (
    active_problems,
    fault_of,
    healed,
    healed_problems,
    process_table,
)

NODES = ("n1", "n2", "n3")
PATH = "/var/lib/rabbitmq/mnesia/rabbit@n1/quorum/rabbit@n1/2F_X/1.segment"
FLIPPED: dict[str, Any] = {
    "path": PATH,
    "offset": 5,
    "size-before": 10,
    "size-after": 10,
    "byte-before": 1,
    "byte-after": 0,
    "sha256-before": "aa",
    "sha256-after": "bb",
}
TRUNCATED = {**FLIPPED, "size-after": 5, "byte-after": None}


def evidence(record: object, *, started: int = 200, amqp: bool = True) -> dict[str, Any]:
    return {**process_table(started=started, amqp=amqp), "corruption": {"n1": {"record": record}}}


BEFORE = evidence(None, started=100)
FLIP = fault_of("file-corrupt")
TRUNCATE = replace(FLIP, settings={**FLIP.settings, "way": "truncate"})


def drawn(name: str, *victims: str) -> Fault:
    (stage,) = stages(name, FaultRequest(NODES, Random(1), victims=victims))
    return stage.fault


def test_a_drawn_fault_is_on_one_node_with_a_replica() -> None:
    fault = drawn("file-corrupt")
    assert fault.role == "replica"
    resolved = fault.resolve("n3", ("n2",))
    assert (resolved.nodes, resolved.role) == (("n2",), None)
    assert resolved.describe() == "file-corrupt {n2, at-percent 50}"
    assert fault.resolve("n3").nodes == ("n3",), "a classic queue is on its leader only"


def test_chosen_nodes_must_all_have_a_replica() -> None:
    fault = drawn("file-truncate", "n1", "n2")
    assert fault.resolve("n3", ("n1", "n2", "n3")).nodes == ("n1", "n2")
    with pytest.raises(RunError, match="file-truncate: n1 has no replica of the queue; choose"):
        fault.resolve("n3", ("n2", "n3"))


@pytest.mark.parametrize("percent", [0.5, 99.5, 100])
def test_the_ends_of_a_file_are_refused(percent: float) -> None:
    request = FaultRequest(NODES, Random(1), settings={"at-percent": percent})
    with pytest.raises(UsageError, match="at-percent must be from 1 to 99"):
        stages("file-corrupt", request)


def test_a_changed_file_and_a_new_runtime_prove_it() -> None:
    assert active_problems(FLIP, BEFORE, evidence(FLIPPED)) == []
    assert active_problems(TRUNCATE, BEFORE, evidence(TRUNCATED)) == []
    down = {**process_table("", amqp=False), "corruption": {"n1": {"record": FLIPPED}}}
    assert active_problems(FLIP, BEFORE, down) == []


@pytest.mark.parametrize(
    "record",
    [
        None,
        {**FLIPPED, "sha256-after": "aa"},
        {**FLIPPED, "byte-after": 1},
        {**FLIPPED, "path": "/etc/passwd"},
    ],
)
def test_a_file_that_did_not_change_proves_nothing(record: object) -> None:
    assert active_problems(FLIP, BEFORE, evidence(record))


def test_a_file_of_the_old_length_was_not_truncated() -> None:
    assert active_problems(TRUNCATE, BEFORE, evidence(FLIPPED)) == [
        f"{PATH} on n1 was not truncated"
    ]


def test_a_node_that_did_not_restart_has_not_read_the_file() -> None:
    found = active_problems(FLIP, BEFORE, evidence(FLIPPED, started=100))
    assert found == ["RabbitMQ on n1 did not restart"]


def test_an_earlier_corruption_or_a_silent_node_proves_nothing() -> None:
    silent = {**process_table(started=200), "corruption": {"n1": None}}
    assert active_problems(FLIP, evidence(FLIPPED, started=100), evidence(FLIPPED))
    assert active_problems(FLIP, {**silent, **process_table()}, evidence(FLIPPED))
    assert active_problems(FLIP, BEFORE, silent)


def test_a_node_that_listens_without_a_record_is_healed() -> None:
    assert healed_problems(FLIP, BEFORE, evidence(None)) == []
    assert healed_problems(FLIP, BEFORE, evidence(FLIPPED))
    assert healed_problems(FLIP, BEFORE, evidence(None, amqp=False))
    assert healed_problems(FLIP, BEFORE, {**process_table(), "corruption": {"n1": None}})


def heal(folder: Path, script: str, *states: str) -> tuple[list[str], int]:
    """Run a healing script while the service has these states in turn, the last one for good.

    Return the commands of systemctl that change something, and the exit status.
    """
    log, turn = folder / "log", folder / "turn"
    for file in (log, turn):
        file.write_text("")
    stubs = folder / "bin"
    stubs.mkdir()
    answer = "\n".join(
        f'[ "$(wc -l < {turn})" -gt {index} ] || {{ echo {state}; exit; }}'
        for index, state in enumerate((*states, states[-1]), 1)
    )
    (stubs / "systemctl").write_text(
        f'#!/bin/sh\n[ $1 = show ] || {{ echo "$*" >> {log}; exit; }}\n'
        f"echo >> {turn}\n{answer}\necho {states[-1]}\n"
    )
    (stubs / "sleep").write_text("#!/bin/sh\n")
    for stub in stubs.iterdir():
        stub.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-ec", script.replace(CORRUPTED_DIR, str(folder / "kept"))],
        env={"PATH": f"{stubs}:{os.environ['PATH']}"},
        check=False,
    )
    return log.read_text().splitlines(), done.returncode


def corrupted(folder: Path) -> Path:
    """Return a corrupted file with the record of a fault."""
    path = folder / "1.segment"
    path.write_bytes(b"corrupt")
    (folder / "kept").mkdir()
    (folder / "kept" / "original").write_bytes(b"original")
    (folder / "kept" / "path").write_text(str(path))
    total = hashlib.sha256(b"corrupt").hexdigest()
    (folder / "kept" / "corrupted.sha256").write_text(f"{total}  {path}\n")
    return path


START = f"start --no-block {SERVICE}"
SWEEP = type(FLIP).sweep


@pytest.mark.parametrize("script", [healed(FLIP, "n1")[0].stdin, SWEEP])
def test_a_node_that_starts_keeps_the_corrupted_file(tmp_path: Path, script: str) -> None:
    path = corrupted(tmp_path)
    assert heal(tmp_path, script, "start", "start", "running") == ([START], 0)
    assert path.read_bytes() == b"corrupt"
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("rewritten", [False, True])
@pytest.mark.parametrize("state", ["failed", "auto-restart"])
def test_a_node_that_fails_gets_the_original_of_a_file_that_it_did_not_rewrite(
    tmp_path: Path, state: str, *, rewritten: bool
) -> None:
    path = corrupted(tmp_path)
    if rewritten:
        path.write_bytes(b"rewritten")
    commands, status = heal(tmp_path, SWEEP, "start", state)
    assert commands == [START, f"stop {SERVICE}", f"reset-failed {SERVICE}", START]
    assert status == 0
    assert path.read_bytes() == (b"rewritten" if rewritten else b"original")
    assert not (tmp_path / "kept").exists()


def test_a_node_that_is_still_starting_is_healed_later(tmp_path: Path) -> None:
    path = corrupted(tmp_path)
    assert heal(tmp_path, SWEEP, "start") == ([START], 1)
    assert path.read_bytes() == b"corrupt"
    assert (tmp_path / "kept" / "original").exists()


def test_an_injection_that_was_killed_leaves_the_original(tmp_path: Path) -> None:
    path = corrupted(tmp_path)
    (tmp_path / "kept" / "corrupted.sha256").unlink()
    assert heal(tmp_path, SWEEP, "running") == ([START], 0)
    assert path.read_bytes() == b"original"


def test_a_node_that_was_stopped_and_not_corrupted_starts(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    assert heal(tmp_path, SWEEP, "running") == ([START], 0)
    assert not (tmp_path / "kept").exists()


def test_a_node_without_a_record_does_nothing(tmp_path: Path) -> None:
    assert heal(tmp_path, SWEEP, "running") == ([], 0)
