"""Capabilities: an answer of a host that is not understood is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jepsenvm.errors import RunError
from jepsenvm.machines.capabilities import capabilities
from jepsenvm.machines.remote import capabilities as remote
from tests.unit.fakes import FakeFleet


class Answering(FakeFleet):
    """One node with this answer."""

    def __init__(self, answer: Any) -> None:
        super().__init__("n1")
        self.answer = answer

    def python(self, *_: Any, **_options: Any) -> Any:
        return self.answer


def test_an_answer_has_the_capabilities() -> None:
    answer = {"boot-id": "another", "booted": 1.0, "iptables": True, "netem": False}
    assert capabilities(Answering(answer)) == {
        "n1": {"iptables": True, "netem": False, "own-clock": True}
    }


@pytest.mark.parametrize(
    "answer", [None, [], 3, {}, {"boot-id": "x"}, {"boot-id": 1, "booted": 1.0}]
)
def test_an_answer_that_is_not_understood_is_refused(answer: Any) -> None:
    with pytest.raises(RunError, match=r"^n1: its answer is not understood: "):
        capabilities(Answering(answer))


@pytest.mark.parametrize(
    ("running", "database", "able"),
    [(True, True, True), (True, False, False), (False, False, True), (False, True, True)],
)
def test_whether_a_corruption_finds_the_database(
    running: bool, database: bool, able: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host on which RabbitMQ is yet to be deployed will have it there."""
    monkeypatch.setattr(remote, "DATABASES", tmp_path)
    monkeypatch.setattr(remote, "runtime", lambda: {"pid": 7} if running else None)
    (tmp_path / "rabbit@n1.pid").touch()
    if database:
        (tmp_path / "rabbit@n1").mkdir()
    assert remote.queue_files() is able
