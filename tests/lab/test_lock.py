"""One command at a time uses a cluster, and a killed run gets its verdict."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jepsenvm.history.readers import open_history
from jepsenvm.machines.inventory import Inventory
from tests.lab.conftest import JEPSENVM, jepsenvm, made_whole, on, on_each, results

SHORT = ["--net-ticktime", "8", "--nemesis", "none", "--rate", "200"]
LOCK = "cat /run/jepsenvm.lock 2>/dev/null; true"


@pytest.fixture(autouse=True)
def whole(cluster: Inventory) -> None:
    made_whole(cluster)


@contextmanager
def started(store: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start a run and wait for its load; kill it at the end unless it has ended."""
    run = subprocess.Popen(
        [JEPSENVM, "run", "--store", str(store), *SHORT, *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert run.stdout
        assert any("sent" in line for line in run.stdout)
        yield run
    finally:
        run.kill()
        run.wait()


def names(cluster: Inventory) -> list[str]:
    return [node.name for node in cluster.nodes]


def copied(cluster: Inventory, folder: Path) -> Path:
    """Return a copy of the inventory in another folder, with its secrets and another suffix."""
    folder.mkdir()
    secrets = folder / ".jepsenvm" / "copy"
    shutil.copytree(cluster.secrets_dir, secrets)
    inventory = folder / "copy.yaml"
    shutil.copy(cluster.path, inventory)
    return inventory


def test_other_commands_are_refused_during_a_run_which_stays_valid(
    cluster: Inventory, tmp_path: Path
) -> None:
    copy = copied(cluster, tmp_path / "copy")
    with started(tmp_path / "store", "-i", str(cluster.path), "--time-limit", "60") as run:
        other = ["run", "--store", str(tmp_path / "other"), *SHORT, "--time-limit", "5"]
        for words in (other, ["deploy"], ["deploy", "--reset"], ["remove"], ["heal"]):
            done = jepsenvm(*words, "-i", str(copy), expect=254)
            (line,) = done.stderr.splitlines()
            assert "run/" in line
        assert "in use by `jepsenvm run`" in jepsenvm("lab", "down", expect=254).stderr
        assert run.stdout
        output = run.stdout.read()
        assert run.wait(timeout=300) == 0, output
    assert results((tmp_path / "store/latest").resolve())["verdict"] == "valid"
    assert set(on_each(names(cluster), LOCK).values()) == {""}
    assert not list((tmp_path / "other").rglob("plan.yml"))


def test_a_killed_run_is_resumed(cluster: Inventory, tmp_path: Path) -> None:
    with started(tmp_path, "-i", str(cluster.path), "--time-limit", "600") as run:
        alive = jepsenvm("resume", str(tmp_path / "latest"), expect=254)
        assert "in use by `jepsenvm run`" in alive.stderr
        run.kill()
    folder = (tmp_path / "latest").resolve()
    before = (folder / "history.arrow").read_bytes()
    # A run in between neither waits for the lock of the dead run nor deletes its queue.
    jepsenvm("run", "--store", str(tmp_path / "b"), *SHORT, "--time-limit", "5", expect=0)
    output = jepsenvm("resume", str(folder), expect=2).stdout
    assert "the run was ended early: its controller ended before the drain did" in output
    queue = results(folder)["checkers"]["total-queue"]
    assert queue["verdict"] == "valid"
    assert queue["acknowledged-count"] > 100
    assert (queue["lost-count"], queue["unexpected-count"]) == (0, 0)
    assert (folder / "history.arrow").read_bytes() == before
    assert open_history(folder / "history.arrow").count("ok", "drain") == 1
    assert (folder / "report.html").exists()
    assert "has finished" in jepsenvm("resume", str(folder), expect=254).stderr
    assert jepsenvm("check", str(folder), expect=2).stdout.splitlines()[0] in output


def test_a_deployment_from_another_checkout_wipes_nothing(
    cluster: Inventory, tmp_path: Path
) -> None:
    copy = copied(cluster, tmp_path / "copy")
    shutil.rmtree(copy.parent / ".jepsenvm")
    content = copy.read_text()
    assert "jepsenvm_secrets_dir" not in content
    started_at = "systemctl show --property=MainPID rabbitmq-server"
    before = on_each(names(cluster), started_at)
    done = jepsenvm("deploy", "-i", str(copy), expect=254)
    assert "another Erlang cookie" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert on_each(names(cluster), started_at) == before


@pytest.mark.parametrize("signal_name", ["SIGHUP", "SIGTERM"])
def test_a_signal_in_the_preparation_leaves_nothing(
    cluster: Inventory, tmp_path: Path, signal_name: str
) -> None:
    # Where the tests run under nohup, SIGHUP is ignored, and child processes inherit that.
    options = ["-i", str(cluster.path), "--store", str(tmp_path), *SHORT]
    run = subprocess.Popen(
        ["env", "--default-signal=HUP", JEPSENVM, "run", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not on("n1", LOCK) and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(signal.Signals[signal_name])
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 255, errors
    assert not list(tmp_path.rglob("plan.yml"))
    # A host may take its lock after the release overtook its order. The lock of a process that has
    # ended is free for the next command, which then releases it.
    jepsenvm("heal", "-i", str(cluster.path), expect=0)
    assert set(on_each(names(cluster), LOCK).values()) == {""}
