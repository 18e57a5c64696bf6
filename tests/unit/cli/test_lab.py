"""jepsenvm lab: what it asks of the lab, and what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment import lab_in_use
from jepsenvm.machines import lab
from jepsenvm.machines.lab import lab as lab_module
from tests.unit.cli.conftest import Inventories, Jepsenvm, NoFleet, assert_one_line
from tests.unit.fakes import LockedHosts, elsewhere


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
    monkeypatch.setattr(lab_module, "size", lambda: None)
    assert jepsenvm("lab", "down").exit_code == 0
    assert calls == ["down"]


def test_a_lab_in_use_is_taken_down_only_by_force(
    jepsenvm: Jepsenvm,
    monkeypatch: pytest.MonkeyPatch,
    inventories: Inventories,
    locks: LockedHosts,
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(lab, "down", lambda: calls.append("down"))
    monkeypatch.setattr(lab_module, "size", lambda: (2, "bookworm"))
    monkeypatch.setattr(lab_in_use, "load", lambda *_: inventories.inventory)
    monkeypatch.setattr(lab_in_use, "Fleet", NoFleet)
    locks.occupy(elsewhere(), "n2")
    assert_one_line(jepsenvm("lab", "down"), 254, "n2: in use by", "`jepsenvm lab down --force`")
    assert calls == []
    assert jepsenvm("lab", "down", "--force").exit_code == 0
    assert calls == ["down"]


def test_an_incomplete_lab_is_not_in_use(
    jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise UsageError("no such inventory")

    calls: list[str] = []
    monkeypatch.setattr(lab, "down", lambda: calls.append("down"))
    monkeypatch.setattr(lab_module, "size", lambda: (2, "bookworm"))
    monkeypatch.setattr(lab_in_use, "load", unreadable)
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
