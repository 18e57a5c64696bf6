"""The program with which a host finds the package of an upgrade, with commands that are stubs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.machines.remote import broker_version, upgrade_target
from jepsenvm.machines.remote_source import source

MADISON = """rabbitmq-server | 3.10.9-2 | http://deb.example.org bookworm/main amd64 Packages
rabbitmq-server | 3.10.9-1 | http://deb.example.org bookworm/main amd64 Packages
rabbitmq-server | 3.10.8-1 | http://deb.example.org bookworm/main amd64 Packages
"""


class Commands:
    """Stubs of the host's commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()
        self.set("dpkg-query", "installed 3.10.8-1")
        self.set("apt-cache", MADISON)
        self.set("apt-get", "")
        self.set("dpkg", "")
        self.set("dpkg-deb", "Package: rabbitmq-server\nVersion: 3.10.9-1\n")
        self.set("rabbitmqctl", '"3.10.8"')

    def set(self, name: str, says: str, status: int = 0) -> None:
        text = self.folder / f"{name}.says"
        text.write_text(says)
        file = self.folder / name
        log = f'echo "{name} $*" >> {self.log}'
        file.write_text(f"#!/bin/sh\n{log}\ncat {text}\nexit {status}\n")
        file.chmod(0o755)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(upgrade_target, "FOLDER", tmp_path / "upgrade")
    monkeypatch.setattr(upgrade_target, "RECORD", tmp_path / "rabbitmq.json")
    monkeypatch.setattr(broker_version, "UPGRADE", tmp_path / "upgrade")
    return Commands(tmp_path)


def order(**changes: Any) -> dict[str, Any]:
    return {"deb": None, "wanted": "3.10.9", "source": None, "act": "look", **changes}


def test_the_newest_revision_of_a_version_is_found(commands: Commands) -> None:
    seen = upgrade_target.look(order())
    assert seen["found"] == "3.10.9-2"
    assert seen["package"] == "rabbitmq-server=3.10.9-2"
    assert (seen["installed"], seen["newer"], seen["problem"]) == ("3.10.8-1", True, "")
    assert upgrade_target.look(order(wanted="3.10.9-1"))["found"] == "3.10.9-1"
    assert upgrade_target.look(order(wanted="3.10"))["found"] == ""
    assert "--download-only" not in commands.log.read_text()


def test_a_package_file_tells_its_version(commands: Commands) -> None:
    seen = upgrade_target.look(order(deb="/opt/x.deb", wanted=None))
    assert (seen["name"], seen["found"]) == ("rabbitmq-server", "3.10.9-1")
    assert seen["package"] == "/opt/x.deb"
    commands.set("dpkg-deb", "dpkg-deb: error", 2)
    assert upgrade_target.look(order(deb="/opt/x.deb", wanted=None))["found"] == ""


def test_what_apt_says_is_the_problem(commands: Commands) -> None:
    commands.set("apt-get", "Reading...\nE: Unable to correct problems\nE: held packages.\n", 100)
    assert upgrade_target.look(order())["problem"] == "E: held packages."
    assert upgrade_target.fetch(order(act="fetch"))["problem"] == "E: held packages."
    assert not (commands.folder / "upgrade").exists()


def test_an_older_package_is_not_newer(commands: Commands) -> None:
    commands.set("dpkg", "", 1)
    assert not upgrade_target.look(order())["newer"]


def test_a_host_without_the_package(commands: Commands) -> None:
    commands.set("dpkg-query", "config-files 3.10.8-1")
    assert upgrade_target.look(order())["installed"] == ""


@pytest.mark.parametrize(
    ("record", "source_of_file", "expected"),
    [
        (
            {"source": "distribution", "version": "", "file": "", "sha256": "", "adopted": False},
            {"file": "/x.deb", "sha256": "ab"},
            {"source": "package", "version": "3.10.9-2", "file": "/x.deb", "sha256": "ab"},
        ),
        ({"source": "repository", "version": "3.10.8"}, None, {"version": "3.10.9-2"}),
        (
            {"source": "package", "version": "3.10.8-1", "file": "/y.deb", "sha256": "cd"},
            None,
            {"source": "distribution", "version": "", "file": "", "sha256": ""},
        ),
    ],
)
def test_the_record_of_the_deployment_follows(
    commands: Commands, record: dict[str, Any], source_of_file: Any, expected: dict[str, Any]
) -> None:
    (commands.folder / "rabbitmq.json").write_text(json.dumps(record))
    done = upgrade_target.fetch(order(act="fetch", source=source_of_file))
    assert done == {"problem": ""}
    kept = json.loads((commands.folder / "upgrade/record.json").read_text())
    assert kept == {**record, **expected}
    assert (commands.folder / "upgrade/staged").read_text() == "3.10.9-2\n"


def test_a_host_without_a_record_gets_none(commands: Commands) -> None:
    upgrade_target.fetch(order(act="fetch"))
    assert not (commands.folder / "upgrade/record.json").exists()
    assert (commands.folder / "upgrade/staged").exists()


def test_a_host_reports_its_versions_and_its_upgrade(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    broker_version.main()
    without = {"running": "3.10.8", "package": "3.10.8-1", "phase": "", "error": ""}
    assert json.loads(capsys.readouterr().out) == {**without, "drained": False}
    folder = commands.folder / "upgrade"
    folder.mkdir()
    for name, text in (("phase", "install\n"), ("error", "E: x\nmore"), ("drained", "")):
        (folder / name).write_text(text)
    commands.set("rabbitmqctl", "Error: unable to perform", 69)
    broker_version.main()
    assert json.loads(capsys.readouterr().out) == {
        "running": "",
        "package": "3.10.8-1",
        "phase": "install",
        "error": "E: x",
        "drained": True,
    }


@pytest.mark.parametrize("program", ["upgrade_target", "broker_version"])
def test_a_host_gets_one_text(program: str) -> None:
    text = source(program)
    assert "from jepsenvm" not in text
    compile(text, program, "exec")
