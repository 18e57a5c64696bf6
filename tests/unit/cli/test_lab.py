"""jepsenvm lab: what it asks of the lab, and what it prints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment import lab_in_use
from jepsenvm.machines import lab
from jepsenvm.machines.lab import lab as lab_module
from jepsenvm.machines.lab.overview import LabStatus
from jepsenvm.machines.lab.state import State
from tests.unit.cli.conftest import Inventories, Jepsenvm, NoFleet, assert_one_line, json_of
from tests.unit.fakes import LockedHosts, elsewhere


def test_up_brings_up_the_lab_and_names_the_inventory(
    jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, str, str]] = []

    def up(nodes: int, suite: str, name: str) -> Path:
        calls.append((nodes, suite, name))
        return Path("/lab.yml")

    monkeypatch.setattr(lab, "up", up)
    result = jepsenvm("lab", "up", "--nodes", "3")
    assert (result.exit_code, result.stdout) == (0, "inventory: /lab.yml\n")
    assert calls == [(3, "bookworm", "default")]


def test_up_without_root_is_refused(jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch) -> None:
    def up(_nodes: int, _suite: str, _name: str) -> Path:
        raise UsageError("the lab needs root", remedy="use sudo")

    monkeypatch.setattr(lab, "up", up)
    assert_one_line(jepsenvm("lab", "up"), 254, "the lab needs root; use sudo")


def test_down_takes_the_lab_down(jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(lab, "down", calls.append)
    monkeypatch.setattr(lab_module, "size", lambda _name: None)
    assert jepsenvm("lab", "down").exit_code == 0
    assert calls == ["default"]


def test_a_lab_in_use_is_taken_down_only_by_force(
    jepsenvm: Jepsenvm,
    monkeypatch: pytest.MonkeyPatch,
    inventories: Inventories,
    locks: LockedHosts,
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(lab, "down", calls.append)
    monkeypatch.setattr(lab_module, "size", lambda _name: (2, "bookworm"))
    monkeypatch.setattr(lab_in_use, "load", lambda *_: inventories.inventory)
    monkeypatch.setattr(lab_in_use, "Fleet", NoFleet)
    locks.occupy(elsewhere(), "n2")
    assert_one_line(jepsenvm("lab", "down"), 254, "n2: in use by", "`jepsenvm lab down --force`")
    assert calls == []
    assert jepsenvm("lab", "down", "--force").exit_code == 0
    assert calls == ["default"]


def test_an_incomplete_lab_is_not_in_use(
    jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise UsageError("no such inventory")

    calls: list[str] = []
    monkeypatch.setattr(lab, "down", calls.append)
    monkeypatch.setattr(lab_module, "size", lambda _name: (2, "bookworm"))
    monkeypatch.setattr(lab_in_use, "load", unreadable)
    assert jepsenvm("lab", "down").exit_code == 0
    assert calls == ["default"]


def test_status_of_a_lab_that_is_down(jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "status", lambda _name: [])
    assert jepsenvm("lab", "status").stdout == "the lab is down\n"


def test_a_command_names_its_lab(jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def up(*words: object) -> Path:
        calls.append(words)
        return Path("/lab-b.yml")

    monkeypatch.setattr(lab, "up", up)

    def status(name: str) -> list[lab.HostStatus]:
        calls.append(name)
        return []

    monkeypatch.setattr(lab, "down", calls.append)
    monkeypatch.setattr(lab, "status", status)
    monkeypatch.setattr(lab_module, "size", lambda _name: None)
    up_again = jepsenvm("lab", "up", "--name", "b", "--nodes", "1", "--suite", "trixie")
    assert up_again.stdout == "inventory: /lab-b.yml\n"
    assert jepsenvm("lab", "status", "--name", "b").stdout == "lab b is down\n"
    assert jepsenvm("lab", "down", "--name", "b").stdout == "lab b is down\n"
    assert calls == [(1, "trixie", "b"), "b", "b"]


@pytest.mark.parametrize("name", ["", "B", "b;reboot", "../lab", "ninechars"])
@pytest.mark.parametrize("words", [["up"], ["down"], ["down", "--force"], ["status"], ["ssh"]])
def test_a_bad_name_is_refused_in_one_line(
    jepsenvm: Jepsenvm, words: list[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    rest = ["n1"] if words == ["ssh"] else []
    result = jepsenvm("lab", *words, "--name", name, *rest)
    assert_one_line(result, 254, f"a lab cannot have the name {name!r}; use a lowercase letter")


@pytest.fixture
def two_labs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The default lab and lab b exist, and are not in use; the labs that were taken down."""
    calls: list[str] = []
    monkeypatch.setattr(lab, "down", calls.append)
    monkeypatch.setattr(lab, "lab_names", lambda: ["default", "b"])
    monkeypatch.setattr(lab_module, "size", lambda _name: None)
    return calls


def test_down_takes_all_labs_down(jepsenvm: Jepsenvm, two_labs: list[str]) -> None:
    assert jepsenvm("lab", "down", "--all").stdout == "the lab is down\nlab b is down\n"
    assert two_labs == ["default", "b"]


def test_no_lab_goes_down_with_one_that_is_in_use(
    jepsenvm: Jepsenvm,
    two_labs: list[str],
    monkeypatch: pytest.MonkeyPatch,
    inventories: Inventories,
    locks: LockedHosts,
) -> None:
    sizes = {"default": None, "b": (2, "bookworm")}
    loaded: list[Path] = []

    def load(path: Path, _group: str) -> object:
        loaded.append(path)
        return inventories.inventory

    monkeypatch.setattr(lab_module, "size", sizes.get)
    monkeypatch.setattr(lab_in_use, "load", load)
    monkeypatch.setattr(lab_in_use, "Fleet", NoFleet)
    locks.occupy(elsewhere(), "n2")
    expected = "`jepsenvm lab down --name b --force` removes"
    assert_one_line(jepsenvm("lab", "down", "--all"), 254, "n2: in use by", expected)
    assert two_labs == []
    assert loaded == [Path("/var/lib/jepsenvm/lab-b/inventory.yml")]
    assert jepsenvm("lab", "down").exit_code == 0, "another lab is not in use"
    assert jepsenvm("lab", "down", "--all", "--force").exit_code == 0
    assert two_labs == ["default", "default", "b"]


def test_all_labs_or_one(
    jepsenvm: Jepsenvm, two_labs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b", "default"):
        result = jepsenvm("lab", "down", "--all", "--name", name)
        assert_one_line(result, 254, "--all removes the labs of all names; leave out --name")
    assert two_labs == []
    monkeypatch.setattr(lab, "lab_names", list)
    assert jepsenvm("lab", "down", "--all").stdout == "no lab is up\n"


def test_list_shows_every_lab(jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "labs", list)
    assert jepsenvm("lab", "list").stdout == "no lab is up\n"
    found = [
        lab.LabStatus("default", State("bookworm", 5, "/x"), 4, "10.205.77.0/24", Path("/l/i")),
        lab.LabStatus("b", None, 0, "10.205.99.0/24", Path("/l-b/i")),
    ]
    monkeypatch.setattr(lab, "labs", lambda: found)
    lines = jepsenvm("lab", "list").stdout.splitlines()
    (first,) = (line for line in lines if "default" in line)
    for word in ("bookworm", "4 of 5", "10.205.77.0/24", "/l/i"):
        assert word in first
    assert any("incomplete" in line and "/l-b/i" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "name", "command"),
    [
        (["n1"], "default", []),
        (["n1", "--", "exit", "7"], "default", ["exit", "7"]),
        (["n1", "ls", "-d", "/"], "default", ["ls", "-d", "/"]),
        (["n1", "docker", "run", "--name", "x"], "default", ["docker", "run", "--name", "x"]),
        (["n1", "--", "--name", "x", "--"], "default", ["--name", "x", "--"]),
        (["n1", "df", "-h"], "default", ["df", "-h"]),
        (["--name", "b", "n1", "--", "ls"], "b", ["ls"]),
        (["--name=b", "n1"], "b", []),
    ],
)
def test_words_after_the_node_belong_to_the_command(
    jepsenvm: Jepsenvm,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    name: str,
    command: list[str],
) -> None:
    calls: list[object] = []

    def ssh_argv(*given: object) -> list[str]:
        calls.append(given)
        return ["ssh"]

    monkeypatch.setattr(lab, "ssh_argv", ssh_argv)
    monkeypatch.setattr(os, "execvp", lambda *_: None)
    result = jepsenvm("lab", "ssh", *words)
    assert result.exit_code == 0, result.output
    assert calls == [("n1", command, name)]


def test_bad_usage_names_the_option(jepsenvm: Jepsenvm) -> None:
    assert_one_line(jepsenvm("lab", "up", "--suite"), 254, "--suite")
    assert_one_line(jepsenvm("lab", "ssh"), 254, "NODE")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("up", ["--name", "--nodes", "--suite"]),
        ("down", ["--name", "--all", "--force"]),
        ("status", ["--name"]),
        ("list", ["inventory"]),
        ("ssh", ["--name", "NODE"]),
    ],
)
def test_help_names_the_arguments(jepsenvm: Jepsenvm, command: str, words: list[str]) -> None:
    assert command in jepsenvm("lab", "--help").stdout
    result = jepsenvm("lab", command, "--help")
    assert result.exit_code == 0
    for word in words:
        assert word in result.stdout


def test_json(jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "up", lambda *_: Path("/lab.yml"))
    up = json_of(jepsenvm("lab", "up", "--json"), "lab up")
    assert up == {"name": "default", "inventory": "/lab.yml"}
    monkeypatch.setattr(lab, "down", lambda _name: None)
    down = json_of(jepsenvm("lab", "down", "--force", "--json"), "lab down")
    assert down == {"down": ["default"]}
    broken = LabStatus("bad", None, 0, "10.0.0.0/24", Path("/bad.yml"))
    monkeypatch.setattr(lab, "labs", lambda: [broken])
    (shown,) = json_of(jepsenvm("lab", "list", "--json"), "lab list")
    assert (shown["name"], shown["suite"], shown["hosts"]) == ("bad", None, None)
    host = lab_module.HostStatus("n1", "10.0.0.1", 7, True, False)
    monkeypatch.setattr(lab, "status", lambda _name: [host])
    (shown,) = json_of(jepsenvm("lab", "status", "--json"), "lab status")
    assert (shown["name"], shown["pid"], shown["running"], shown["ssh"]) == ("n1", 7, True, False)
