"""The sentinel files of a power loss: which one is synced when, and what is left of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from jepsenvm.machines.remote import power_loss, shut_down


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the power_loss."""
    monkeypatch.setattr(power_loss, "FOLDER", tmp_path)
    monkeypatch.setattr(power_loss, "SYNCED", tmp_path / "jepsenvm-synced")
    monkeypatch.setattr(power_loss, "UNSYNCED", tmp_path / "jepsenvm-unsynced")
    return tmp_path


def test_the_second_file_is_written_at_the_instant_and_not_synced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(power_loss, "sync", lambda path: synced.append(path.name))
    power_loss.UNSYNCED.write_text("of the loss before")

    def instant() -> str:
        assert synced == ["jepsenvm-synced", folder.name]
        assert not power_loss.UNSYNCED.exists()
        return ""

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(read=instant))
    power_loss.write("3")
    assert synced == ["jepsenvm-synced", folder.name]
    found = power_loss.report()
    assert str(found["synced"]).startswith("fault 3, ")
    assert found["unsynced"] == found["synced"]


def test_syncing_works_on_files_and_folders(folder: Path) -> None:
    (folder / "file").touch()
    power_loss.sync(folder / "file")
    power_loss.sync(folder)


def test_what_is_left_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {"synced": None, "unsynced": None, "own": False, "writable": True}
    assert power_loss.report() == nothing
    power_loss.SYNCED.write_bytes(b"fault \xff" + b"9" * 5000)
    power_loss.UNSYNCED.touch()
    found = power_loss.report()
    assert len(str(found["synced"])) == power_loss.MOST
    assert found["unsynced"] == ""
    monkeypatch.setattr(power_loss, "FOLDER", folder / "missing")
    assert power_loss.report()["writable"] is False


@pytest.fixture
def steps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to a host whose data has a file system of its own."""
    done: list[str] = []

    def check() -> bool:
        done.append("check")
        return True

    def kill(argv: list[str], **_: bool) -> None:
        assert not power_loss.UNSYNCED.exists()
        done.append(" ".join(argv))

    def shut(_: int) -> None:
        assert power_loss.UNSYNCED.exists()
        done.append("shut down")

    monkeypatch.setattr(power_loss, "mount_again", lambda: "mount it")
    monkeypatch.setattr(power_loss, "own_file_system", check)
    monkeypatch.setattr(subprocess, "run", kill)
    monkeypatch.setattr(power_loss, "shut_down", shut)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(read=lambda: done.append("instant")))
    return done


def test_rabbitmq_is_killed_before_its_file_system_is_shut_down(
    folder: Path, steps: list[str]
) -> None:
    power_loss.lose("3", folder / "marker")
    kill = "systemctl kill --signal=SIGKILL rabbitmq-server"
    assert steps == ["check", "instant", kill, "check", "shut down"]
    assert (folder / "marker").read_text() == "mount it"


def test_another_file_system_is_never_shut_down(
    folder: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power_loss, "own_file_system", lambda: False)
    with pytest.raises(SystemExit, match="is no file system of RabbitMQ's data alone"):
        power_loss.lose("3", folder / "marker")
    assert steps == []
    assert not (folder / "marker").exists()


def test_a_file_system_that_cannot_be_mounted_again_is_not_shut_down(
    folder: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power_loss, "mount_again", lambda: "")
    with pytest.raises(SystemExit, match="cannot be mounted again"):
        power_loss.lose("3", folder / "marker")
    assert steps == ["check"]


def test_the_marker_is_whole_or_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty marker would let the healing start RabbitMQ without its file system."""

    def killed(self: Path, target: Path) -> Path:
        assert self.read_text() == "mount it"
        assert not target.exists()
        raise SystemExit

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(SystemExit):
        power_loss.keep(folder / "marker", "mount it")
    assert not (folder / "marker").exists()


def test_what_changed_before_the_instant_is_noticed(
    folder: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([True, False])
    monkeypatch.setattr(power_loss, "own_file_system", lambda: next(answers))
    with pytest.raises(SystemExit):
        power_loss.lose("3", folder / "marker")
    assert "shut down" not in steps


def test_the_shutdown_is_the_kernels() -> None:
    assert shut_down.FS_IOC_SHUTDOWN == 0x8004587D
    assert int.from_bytes(shut_down.NOLOGFLUSH, sys.byteorder) == 2


def test_a_file_that_cannot_be_read_is_not_a_missing_file(folder: Path) -> None:
    """A file system with errors proves nothing."""
    power_loss.UNSYNCED.mkdir()
    with pytest.raises(OSError, match=os.strerror(21)):
        power_loss.report()
