"""Campaigns on the workers of a real Dask scheduler, each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from distributed import LocalCluster

from jepsenvm.campaign import remote_machines
from jepsenvm.campaign.controller import Controller, Limits
from jepsenvm.campaign.dask_runner import DaskRunner, connected, machines_of
from jepsenvm.campaign.planned import Expansion
from jepsenvm.campaign.preparation import Condition, Deployment
from jepsenvm.cli.main import cli
from jepsenvm.errors import RunError, UsageError
from tests.unit.campaign.builders import Notes, begun, expansion

DEADLINE_S = 60.0
TOLD = "was told to end"


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@dataclass
class Workers:
    address: str
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *hosts: str) -> None:
        for host in hosts:
            words = [sys.executable, "-m", "tests.unit.campaign.dask_process"]
            name = f"{host} again" if host in self.processes else host
            self.processes[name] = subprocess.Popen([*words, self.address, host, str(self.folder)])
        with connected(self.address) as client:
            client.wait_for_workers(len(self.processes), timeout=DEADLINE_S)

    def began(self, host: str) -> bool:
        return (self.folder / f"lab default of {host} began").exists()

    def may_end(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def workers(scheduler: str, tmp_path: Path) -> Iterator[Workers]:
    started = Workers(scheduler, tmp_path / "workers")
    started.folder.mkdir()
    yield started
    for process in started.processes.values():
        process.kill()
        process.wait()
    with connected(scheduler) as client:
        wait_until(lambda: not client.nthreads())


class Campaign:
    """A campaign on the workers, executed in a thread."""

    def __init__(self, workers: Workers, path: Path, runs: Expansion) -> None:
        self._stack = ExitStack()
        client = self._stack.enter_context(connected(workers.address))
        machines = machines_of(client, "c")
        addresses = {one.name: address for address, one in machines.items()}
        self.folder, self.notes = begun(path, runs), Notes()
        runner = DaskRunner(client, addresses, "c", self.folder, {})
        self.control = Controller(
            self.folder, runs.runs, {}, runner, self.notes, limits=Limits(deadline=None)
        )
        crew = self.control.workers(list(machines.values()), self.control.recover())
        self._thread = threading.Thread(target=self.control.execute, args=(crew,))

    def __enter__(self) -> Campaign:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()
        self._stack.close()

    def join(self) -> None:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()


def two_runs() -> Expansion:
    return expansion({"nemesis": ["kill", "pause"]})


def test_the_files_of_a_run_come_back(workers: Workers, tmp_path: Path) -> None:
    workers.start("a", "b")
    workers.may_end()
    with Campaign(workers, tmp_path / "c", two_runs()) as campaign:
        pass
    for run in two_runs().runs:
        (attempt,) = campaign.control.records[run.id].attempts
        assert (attempt.ending, attempt.version) == ("verdict", "3.10.8")
        stored = campaign.folder.path / attempt.folder / "results.json"
        assert stored.read_text() == attempt.machines
        assert campaign.folder.attempt(run.id, 1).with_suffix(".log").read_text() == "a line\n"


def test_a_worker_that_dies_gives_its_run_to_another(workers: Workers, tmp_path: Path) -> None:
    workers.start("a", "b")
    with Campaign(workers, tmp_path / "c", two_runs()) as campaign:
        wait_until(lambda: workers.began("a") and workers.began("b"))
        workers.processes["a"].send_signal(signal.SIGKILL)
        workers.may_end()
    attempts = [campaign.control.records[run.id].attempts for run in two_runs().runs]
    lost, kept = sorted(attempts, key=len, reverse=True)
    assert [(one.machines, one.ending) for one in lost] == [
        ("lab default of a", "interrupted"),
        ("lab default of b", "verdict"),
    ]
    assert [(one.machines, one.ending) for one in kept] == [("lab default of b", "verdict")]
    assert lost[0].error == "the worker of lab default of a is gone"


def test_a_campaign_whose_workers_all_die_ends_without_those_runs(
    workers: Workers, tmp_path: Path
) -> None:
    workers.start("a")
    with Campaign(workers, tmp_path / "c", two_runs()) as campaign:
        wait_until(lambda: workers.began("a"))
        workers.processes["a"].send_signal(signal.SIGKILL)
    assert all(record.verdict is None for record in campaign.control.records.values())


def test_a_request_to_stop_reaches_the_run(workers: Workers, tmp_path: Path) -> None:
    workers.start("a")
    with Campaign(workers, tmp_path / "c", two_runs()) as campaign:
        wait_until(lambda: workers.began("a"))
        campaign.control.stop.request()
    endings = [
        attempt.ending
        for record in campaign.control.records.values()
        for attempt in record.attempts
    ]
    assert endings == ["interrupted"]


def test_a_worker_that_is_terminated_ends_its_run_first(workers: Workers, tmp_path: Path) -> None:
    workers.start("a")
    with Campaign(workers, tmp_path / "c", two_runs()) as campaign:
        wait_until(lambda: workers.began("a"))
        workers.processes["a"].terminate()
        assert workers.processes["a"].wait(DEADLINE_S) == 0
    assert {record.verdict for record in campaign.control.records.values()} == {None}
    errors = [one.error for record in campaign.control.records.values() for one in record.attempts]
    assert errors
    # The worker may be gone before its answer is read.
    assert {*errors} <= {f"the worker of lab default of a {what}" for what in ("is gone", TOLD)}


def test_a_run_of_a_killed_controller_ends_before_the_next_begins(
    workers: Workers, tmp_path: Path
) -> None:
    workers.start("a")
    (run, _) = two_runs().runs
    on = Deployment(run.cluster, "inventory.yml", Condition.READY)
    with connected(workers.address) as client:
        machines_of(client, "c")
        client.submit(remote_machines.execute, "c", {}, run, on, 1, pure=False)
        wait_until(lambda: workers.began("a"))
    with connected(workers.address) as client:
        (machines,) = machines_of(client, "c").values()
    assert machines.name == "lab default of a"


def test_machines_that_cannot_be_prepared_are_named(workers: Workers, tmp_path: Path) -> None:
    workers.start("a")
    (workers.folder / "breaks").touch()
    with Campaign(workers, tmp_path / "c", two_runs()) as campaign:
        pass
    assert any("no host answers" in line for line in campaign.notes.lines)


def test_two_workers_with_the_same_machines_are_refused(workers: Workers) -> None:
    workers.start("a", "a")
    with connected(workers.address) as client, pytest.raises(UsageError, match="two Dask workers"):
        machines_of(client, "c")


def test_a_scheduler_without_workers_is_refused(scheduler: str) -> None:
    with connected(scheduler) as client, pytest.raises(UsageError, match="has no workers"):
        machines_of(client, "c")


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jepsenvm.campaign.dask_runner.CONNECT_S", 1)
    with pytest.raises(RunError, match="does not answer") as caught:
        connected("tcp://127.0.0.1:1")
    assert "\n" not in str(caught.value)


def test_a_worker_needs_machines() -> None:
    result = CliRunner().invoke(cli, ["campaign", "worker", "tcp://127.0.0.1:1"])
    assert result.exit_code == 254
