"""The runner, with commands that do not start, and the processes that it starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.campaign import launcher, runner
from jepsenvm.campaign.launcher import Stop, end_left_processes, last_error, run_command
from jepsenvm.campaign.planned import Cluster
from jepsenvm.campaign.preparation import Condition, Deployment
from jepsenvm.campaign.runner import Ended, ProcessRunner, StoppedError
from jepsenvm.campaign.spec import Machines
from jepsenvm.checkers.outcome import outcome_of
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.errors import RunError
from tests.unit.campaign.builders import begun, expansion

ONE = expansion({"version": ["3.10.8"]})
RUN = ONE.runs[0]
LAB = Machines(lab="default")

RESULTS: dict[str, Any] = {
    "verdict": "invalid",
    "reasons": ["3 messages were lost"],
    "checkers": {
        "total-queue": {
            "verdict": "invalid",
            "acknowledged-count": 90,
            "lost-count": 3,
            "duplicated-count": 4,
            "unexpected-count": 0,
        },
        "availability": {
            "verdict": "invalid",
            "windows": [
                {"heal-to-recovered-seconds": None},
                {"heal-to-recovered-seconds": 12.5},
            ],
        },
        "recovery": {"verdict": "valid", "restarted": ["n2"], "seconds": 3.0, "troubles": {}},
    },
}


def test_the_outcome_of_results() -> None:
    found = outcome_of(RESULTS, "total-queue")
    assert found.verdict is Verdict.INVALID
    assert found.kinds == ("availability", "total-queue: lost")
    assert (found.acknowledged, found.lost) == (90, 3)
    assert found.recovery_seconds == 12.5
    assert found.restarted == ("n2",)
    assert found.recovered
    assert type(found).from_data(json.loads(json.dumps(found.as_data()))) == found


def test_the_outcome_of_a_cluster_that_did_not_recover() -> None:
    recovery = {"verdict": "unknown", "restarted": ["n2"], "troubles": {"n5": "the queue is down"}}
    results = {**RESULTS, "checkers": {**RESULTS["checkers"], "recovery": recovery}}
    found = outcome_of(results, "total-queue")
    assert found.recovered is False
    stored = found.as_data()
    assert type(found).from_data(json.loads(json.dumps(stored))) == found
    del stored["recovered"]
    assert type(found).from_data(stored).recovered is None


def test_a_checker_without_messages_has_no_counts() -> None:
    found = outcome_of({"verdict": "valid", "reasons": [], "checkers": {}}, "lock")
    assert (found.acknowledged, found.lost, found.recovery_seconds) == (None, None, None)


class Commands:
    """Stands for ``run_command``; stores a run as a command would."""

    def __init__(self, *answers: int | Callable[[Path], int]) -> None:
        self.answers = list(answers)
        self.words: list[list[str]] = []

    def __call__(self, words: Sequence[str], log: Path, mark: Path, stop: Stop) -> int:
        self.words.append(list(words))
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write("inventory: /lab/inventory.yml\njepsenvm: n1: no such host\n")
        answer = self.answers.pop(0) if self.answers else 0
        return answer if isinstance(answer, int) else answer(Path(words[3]))


def stores(
    results: Mapping[str, Any] | str | None, status: int, version: str = "3.10.8"
) -> Callable[[Path], int]:
    """Return a command that stores a run with these results and exits with this status."""

    def store(path: Path) -> int:
        folder = path / RUN.id / "20260101T000000.000000Z"
        folder.mkdir(parents=True)
        (folder / "plan.yml").write_text(RUN.plan)
        (folder / "jepsenvm.log").write_text(
            f"2026-01-01T00:00:00.000Z RabbitMQ {version} on 5 nodes, workload queue, quorum\n"
        )
        if results is not None:
            text = results if isinstance(results, str) else json.dumps(results)
            (folder / "results.json").write_text(text)
        return status

    return store


def ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int | Callable[[Path], int]
) -> Ended:
    commands = Commands(answer)
    monkeypatch.setattr(runner, "run_command", commands)
    folder = begun(tmp_path / "c", ONE)
    on = Deployment(RUN.cluster, "inv.yml", Condition.READY)
    found = ProcessRunner(folder, {}).run(RUN, LAB, on, folder.attempt(RUN.id, 1), Stop())
    (words,) = commands.words
    assert words[:2] == ["run", str(folder.plan_of(RUN.id))]
    assert words[4:] == ["-i", "inv.yml", "--no-deploy"]
    return found


def test_a_run_with_results_has_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ended(tmp_path, monkeypatch, stores(RESULTS, 1))
    assert found.ending == "verdict"
    assert found.outcome is not None
    assert found.outcome.lost == 3
    assert found.version == "3.10.8"
    assert found.folder is not None
    assert found.folder.is_relative_to(tmp_path / "c")


@pytest.mark.parametrize(
    ("answer", "ending", "text"),
    [
        (254, "refused", "n1: no such host"),
        (255, "failed", "n1: no such host"),
        (-9, "failed", "n1: no such host"),
        (stores(None, 255), "failed", "n1: no such host"),
        (stores(None, 0), "failed", "exited 0, which its results do not confirm"),
        (stores(RESULTS, 0), "failed", "exited 0, which its results do not confirm"),
        (stores("{", 1), "failed", "exited 1, which its results do not confirm"),
        (stores("[]", 1), "failed", "exited 1, which its results do not confirm"),
        (
            stores({**RESULTS, "verdict": "valid"}, 0, version="3.12.1"),
            "refused",
            "the nodes run RabbitMQ 3.12.1, and the campaign says 3.10.8",
        ),
    ],
)
def test_only_results_that_agree_with_the_exit_status_are_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any, ending: str, text: str
) -> None:
    found = ended(tmp_path, monkeypatch, answer)
    assert (found.ending, found.outcome) == (ending, None)
    assert text in found.error


def test_a_run_on_another_number_of_nodes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "run_command", Commands(stores(RESULTS, 1)))
    folder = begun(tmp_path / "c", ONE)
    three = replace(RUN, cluster=RUN.cluster._replace(nodes=3))
    on = Deployment(three.cluster, "inv.yml", Condition.READY)
    found = ProcessRunner(folder, {}).run(three, LAB, on, folder.attempt(RUN.id, 1), Stop())
    assert (found.ending, found.outcome) == ("refused", None)
    assert found.error == "the cluster has 5 nodes, and the run needs 3"


@pytest.mark.parametrize(
    ("running", "planned", "same"),
    [
        ("4.1.5", "4.1.5", True),
        ("4.1.5", "4.1.5-1", True),
        ("4.1.5", "4.1", True),
        ("4.1.50", "4.1.5", False),
        ("4.10.1", "4.1", False),
    ],
)
def test_versions_are_compared(running: str, planned: str, same: bool) -> None:
    assert runner.same_version(running, planned) is same


def test_a_cluster_is_prepared_by_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands()
    monkeypatch.setattr(runner, "run_command", commands)
    made = ProcessRunner(begun(tmp_path / "c", ONE), {})
    on = made.prepare(LAB, RUN.cluster, Deployment(), tmp_path / "log", Stop())
    assert on == Deployment(RUN.cluster, "/lab/inventory.yml", Condition.READY)
    assert [words[0] for words in commands.words] == ["lab", "lab", "deploy"]
    assert commands.words[2][1:3] == ["-i", "/lab/inventory.yml"]


def test_a_command_that_fails_is_named_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "run_command", Commands(0, 254))
    made = ProcessRunner(begun(tmp_path / "c", ONE), {})
    with pytest.raises(RunError, match=r"`jepsenvm lab up .*` exited 254: n1: no such host"):
        made.prepare(LAB, Cluster("4.3.6", None, 15), Deployment(), tmp_path / "log", Stop())


def test_a_deployment_that_is_told_to_stop_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()
    stop.request()
    monkeypatch.setattr(runner, "run_command", Commands(255))
    made = ProcessRunner(begun(tmp_path / "c", ONE), {})
    with pytest.raises(StoppedError):
        made.prepare(LAB, RUN.cluster, Deployment(), tmp_path / "log", stop)


# Real processes.


def test_a_command_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run_command(["--version"], log, tmp_path, Stop()) == 0
    assert "jepsenvm, version" in log.read_text()
    assert run_command(["check", str(tmp_path / "missing")], log, tmp_path, Stop()) == 254
    assert last_error(log).startswith(f"{tmp_path}/missing: no such run")
    assert last_error(tmp_path / "no-log") == ""


WAITER = """
import signal, sys, time
def heal(*_):
    open({heard!r}, "a").write("heard ")
    if open({heard!r}).read().count("heard") >= {signals}:
        sys.exit(3)
signal.signal(signal.SIGTERM, heal)
open({ready!r}, "w").close()
while True: time.sleep(0.05)
"""


def waiter(tmp_path: Path, signals: int) -> tuple[str, Path, Path]:
    """Return a program that ends at the last of some SIGTERMs, and its files."""
    ready, heard = tmp_path / "ready", tmp_path / "heard"
    heard.touch()
    return WAITER.format(ready=str(ready), heard=str(heard), signals=signals), ready, heard


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_request_to_stop_is_one_signal_and_the_process_is_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, ready, heard = waiter(tmp_path, 2)
    monkeypatch.setattr(launcher, "PROGRAM", ("-c", program))
    stop, statuses = Stop(), list[int]()

    def run() -> None:
        statuses.append(run_command([], tmp_path / "log", tmp_path, stop))

    thread = threading.Thread(target=run)
    thread.start()
    until(ready.exists)
    stop.request()
    until(lambda: heard.read_text() == "heard ")
    stop.request()
    thread.join(120)
    assert statuses == [3]
    assert heard.read_text() == "heard heard "


def test_processes_of_a_killed_campaign_are_ended_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, ready, heard = waiter(tmp_path, 1)
    monkeypatch.setattr(launcher, "PROGRAM", ("-c", program))
    own, other = tmp_path / "own", tmp_path / "other"
    processes = []
    for mark in (own, other):
        ready.unlink(missing_ok=True)
        environment = {**os.environ, launcher.MARK: str(mark)}
        processes.append(subprocess.Popen([sys.executable, "-c", program], env=environment))
        until(ready.exists)
    lines: list[str] = []
    reaper = threading.Thread(target=processes[0].wait)  # init does it for a real orphan
    reaper.start()
    try:
        end_left_processes(own, lines.append)
        reaper.join(120)
        assert processes[0].returncode == 3
        assert processes[1].poll() is None
        assert heard.read_text() == "heard "
        assert str(processes[0].pid) in lines[0]
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
