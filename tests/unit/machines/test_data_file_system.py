"""Whether RabbitMQ's data is on a file system of its own: everything else must be refused."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from jepsenvm.machines.remote import data_file_system
from jepsenvm.machines.remote.data_file_system import only_mount, only_rabbit, own_file_system

ROOT = "21 1 254:0 / / rw,relatime - ext4 /dev/vda rw"
OWN = "98 21 7:0 / /var/lib/rabbitmq rw,relatime shared:27 - ext4 /dev/loop0 rw,discard"


@pytest.mark.parametrize(
    "lines",
    [
        (ROOT, OWN),
        (ROOT, OWN.replace("ext4", "xfs")),
        (OWN.replace(" shared:27", ""), ROOT),
        (ROOT, OWN, "99 21 8:1 / /var/lib/rabbitmq2 rw - ext4 /dev/sda1 rw"),
    ],
)
def test_a_file_system_of_its_own(lines: tuple[str, ...]) -> None:
    assert only_mount("\n".join(lines), "7:0")


@pytest.mark.parametrize(
    "lines",
    [
        (ROOT,),
        (ROOT, OWN.replace("ext4", "btrfs")),
        (ROOT, OWN.replace("ext4", "overlay")),
        (ROOT, OWN.replace("/dev/loop0", "/dev/loop0;reboot")),
        (ROOT, OWN.replace("/dev/loop0", "nas:/export")),
        (ROOT, OWN.replace(" / /var", " /folder /var")),
        (ROOT, OWN.replace("/var/lib/rabbitmq", "/var/lib")),
        (ROOT, OWN, OWN.replace("/var/lib/rabbitmq", "/srv")),
        (ROOT, OWN, OWN),
        (ROOT, OWN, "99 98 8:1 / /var/lib/rabbitmq/mnesia rw - ext4 /dev/sda1 rw"),
    ],
)
def test_any_other_file_system(lines: tuple[str, ...]) -> None:
    assert not only_mount("\n".join(lines), "7:0")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the data. RabbitMQ's user is the one of this process."""
    monkeypatch.setattr(data_file_system, "DATA", tmp_path)
    user = SimpleNamespace(pw_uid=os.getuid())
    monkeypatch.setattr(pwd, "getpwnam", {"rabbitmq": user}.__getitem__)
    return tmp_path


def test_a_folder_of_the_root_file_system_is_refused(data: Path) -> None:
    assert not own_file_system()


def test_data_that_does_not_exist_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_file_system, "DATA", data / "missing")
    assert not own_file_system()


def test_only_rabbitmq_may_have_files_there(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = data.stat().st_dev
    assert only_rabbit(device)
    (data / "mnesia").mkdir()
    (data / ".erlang.cookie").touch()
    assert only_rabbit(device)
    other = SimpleNamespace(pw_uid=os.getuid() + 1)
    monkeypatch.setattr(pwd, "getpwnam", {"rabbitmq": other}.__getitem__)
    assert not only_rabbit(device)


def test_without_rabbitmq_there_are_no_files(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwnam", {}.__getitem__)
    for name in ("lost+found", "jepsenvm-synced"):
        (data / name).touch()
    assert only_rabbit(data.stat().st_dev)
    (data / "photos").mkdir()
    assert not only_rabbit(data.stat().st_dev)


def test_the_database_must_really_be_there(data: Path, tmp_path: Path) -> None:
    (data / "elsewhere").mkdir()
    (data / "mnesia").symlink_to(data / "elsewhere")
    assert not only_rabbit(data.stat().st_dev)
