"""Logs of the nodes: only what was written since the run began is collected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jepsenvm.errors import UnreachableError
from jepsenvm.experiment.logs import collect, log_sizes
from jepsenvm.experiment.store import Store


class Fleet:
    """Two nodes; the second does not answer."""

    def __init__(self) -> None:
        self.scripts: list[str] = []

    def run(self, node: str, script: str, timeout: float = 30) -> SimpleNamespace:
        if node == "n2":
            raise UnreachableError(f"silent for {timeout:g} s", node=node)
        self.scripts.append(script)
        listing = "100 rabbit@n1.log\n7 ../evil.log\n"
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


def test_the_end_of_each_log_is_collected(tmp_path: Path) -> None:
    fleet: Any = Fleet()
    before = log_sizes(fleet)
    assert before == {"n1": {"rabbit@n1.log": 100}, "n2": {}}
    collect(fleet, Store(tmp_path), before)
    assert "tail -c +101 -- /var/log/rabbitmq/rabbit@n1.log" in fleet.scripts[-1]
    assert (tmp_path / "nodes/n1/rabbit@n1.log").read_text() == "new lines"


def test_a_node_that_does_not_answer_has_no_logs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class SilentLater(Fleet):
        def run(self, node: str, script: str, timeout: float = 30) -> SimpleNamespace:
            if "tail" in script:
                raise UnreachableError("no SSH", node=node)
            return super().run(node, script, timeout)

    fleet: Any = SilentLater()
    collect(fleet, Store(tmp_path), {})
    assert caplog.messages == ["n1: its logs could not be collected: n1: no SSH"]
