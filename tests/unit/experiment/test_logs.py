"""Logs of the nodes: only what was written since the run began is collected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jepsenvm import steps
from jepsenvm.errors import UnreachableError
from jepsenvm.experiment.logs import LogFile, collect, log_sizes
from jepsenvm.experiment.run_analysis import incomplete_logs
from jepsenvm.experiment.store import Store
from jepsenvm.steps import Step


class Fleet:
    """Two nodes; the second does not answer."""

    def __init__(self) -> None:
        self.scripts: list[str] = []

    def run(self, node: str, script: str, timeout: float = 30) -> SimpleNamespace:
        if node == "n2":
            raise UnreachableError(f"silent for {timeout:g} s", node=node)
        self.scripts.append(script)
        listing = "5 100 rabbit@n1.log\n6 7 ../evil.log\n"
        return SimpleNamespace(stdout=listing if "stat" in script else "new lines")

    @staticmethod
    def each_or_error(task: Callable[[str], Any]) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        for node in ("n1", "n2"):
            try:
                answers[node] = task(node)
            except UnreachableError as error:
                answers[node] = error
        return answers

    def each_or_none(self, task: Callable[[str], Any]) -> dict[str, Any]:
        answers = self.each_or_error(task)
        return {
            node: None if isinstance(answer, Exception) else answer
            for node, answer in answers.items()
        }


def listed(**files: tuple[int, int]) -> dict[str, LogFile]:
    """Return log files from (inode, size) by name; two underscores stand for a dot."""
    return {
        name.replace("__", "."): LogFile(name.replace("__", "."), *file)
        for name, file in files.items()
    }


class Rotating(Fleet):
    """One node with these log files at the end."""

    def __init__(self, listing: str) -> None:
        super().__init__()
        self.listing = listing

    def run(self, node: str, script: str, timeout: float = 30) -> SimpleNamespace:
        if "stat" in script:
            return SimpleNamespace(stdout=self.listing)
        return super().run(node, script, timeout)


def test_the_end_of_each_log_is_collected(tmp_path: Path) -> None:
    fleet: Any = Fleet()
    assert log_sizes(fleet) == {
        "n1": {"rabbit@n1.log": LogFile("rabbit@n1.log", 5, 100)},
        "n2": None,
    }
    heard: list[Step] = []
    with steps.listening(heard.append):
        collect(fleet, Store(tmp_path), {"n1": listed(**{"rabbit@n1.log": (5, 60)}), "n2": {}})
    assert [(step.done, step.total) for step in heard] == [(0, 2), (1, 2), (2, 2)]
    assert "tail -c +61 -- /var/log/rabbitmq/rabbit@n1.log" in fleet.scripts[-1]
    assert (tmp_path / "nodes/n1/rabbit@n1.log").read_text() == "new lines"
    assert incomplete_logs(tmp_path / "nodes") == {
        "n2": "its log files were not known at the run's end"
    }


def test_the_old_log_of_a_node_is_not_judged(tmp_path: Path) -> None:
    collect(cast(Any, Fleet()), Store(tmp_path), {"n1": None})
    assert not (tmp_path / "nodes/n1/rabbit@n1.log").exists()
    assert "not known at the run's begin" in incomplete_logs(tmp_path / "nodes")["n1"]


@pytest.mark.parametrize(
    ("before", "after", "collected", "problem"),
    [
        # The log was rotated: it keeps its inode, and a new one begins.
        (listed(r__log=(5, 60)), "5 80 r.log.1\n9 7 r.log\n", {"r.log": 1, "r.log.1": 61}, ""),
        (listed(r__log=(5, 60)), "5 60 r.log.1\n9 7 r.log\n", {"r.log": 1}, ""),
        # An older rotated log was compressed meanwhile.
        (listed(r__log=(5, 60), r__log__1=(4, 9)), "5 60 r.log\n", {}, ""),
        # It was compressed at once, or copied and truncated.
        (listed(r__log=(5, 60)), "8 30 r.log.1.gz\n9 7 r.log\n", {"r.log": 1}, "compressed"),
        (listed(r__log=(5, 60)), "5 3 r.log\n8 60 r.log.1\n", {}, "truncated"),
        (listed(r__log=(5, 60)), "5 60 r.log\n8 60 r.log.1\n", {}, "may have older lines"),
        (listed(r__log=(5, 60)), f"5 {10**9} r.log\n", {"r.log": 61}, "only the last"),
    ],
)
def test_rotated_logs(
    tmp_path: Path,
    before: dict[str, LogFile],
    after: str,
    collected: dict[str, int],
    problem: str,
) -> None:
    fleet: Any = Rotating(after)
    collect(fleet, Store(tmp_path), {"n1": before})
    scripts = {
        name: f"tail -c +{start} -- /var/log/rabbitmq/{name} " for name, start in collected.items()
    }
    assert len(fleet.scripts) == len(collected)
    assert all(any(script in ran for ran in fleet.scripts) for script in scripts.values())
    problems = incomplete_logs(tmp_path / "nodes").get("n1", "")
    assert problem in problems
    assert bool(problems) is bool(problem)


def test_a_node_that_does_not_answer_has_no_logs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class SilentLater(Fleet):
        def run(self, node: str, script: str, timeout: float = 30) -> SimpleNamespace:
            if "tail" in script:
                raise UnreachableError("no SSH", node=node)
            return super().run(node, script, timeout)

    fleet: Any = SilentLater()
    collect(fleet, Store(tmp_path), {"n1": {}})
    assert caplog.messages == ["n1: its logs could not be collected: n1: no SSH"]
