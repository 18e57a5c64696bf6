"""jepsenvm lab: what it asks of the lab, and what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.machines import lab
from tests.unit.cli.conftest import Jepsenvm, assert_one_line


def test_up_brings_up_the_lab_and_names_the_inventory(
    jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, str]] = []

    def up(nodes: int, suite: str) -> Path:
        calls.append((nodes, suite))
        return Path("/lab.yml")

    monkeypatch.setattr(lab, "up", up)
    result = jepsenvm("lab", "up", "--nodes", "3")
    assert (result.exit_code, result.stdout) == (0, "inventory: /lab.yml\n")
    assert calls == [(3, "bookworm")]


def test_up_without_root_is_refused(jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch) -> None:
    def up(_nodes: int, _suite: str) -> Path:
        raise UsageError("the lab needs root", remedy="use sudo")

    monkeypatch.setattr(lab, "up", up)
    assert_one_line(jepsenvm("lab", "up"), 254, "the lab needs root; use sudo")


def test_down_takes_the_lab_down(jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(lab, "down", lambda: calls.append("down"))
    assert jepsenvm("lab", "down").exit_code == 0
    assert calls == ["down"]


def test_status_of_a_lab_that_is_down(jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "status", list)
    assert jepsenvm("lab", "status").stdout == "the lab is down\n"


def test_bad_usage_names_the_option(jepsenvm: Jepsenvm) -> None:
    assert_one_line(jepsenvm("lab", "up", "--suite"), 254, "--suite")
    assert_one_line(jepsenvm("lab", "ssh"), 254, "NODE")


@pytest.mark.parametrize(
    ("command", "words"),
    [("up", ["--nodes", "--suite"]), ("down", []), ("status", []), ("ssh", ["NODE"])],
)
def test_help_names_the_arguments(jepsenvm: Jepsenvm, command: str, words: list[str]) -> None:
    assert command in jepsenvm("lab", "--help").stdout
    result = jepsenvm("lab", command, "--help")
    assert result.exit_code == 0
    for word in words:
        assert word in result.stdout
