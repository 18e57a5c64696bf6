"""How the file system of RabbitMQ's data is mounted again."""

from __future__ import annotations

from pathlib import Path

import pytest

from jepsenvm.machines.remote import data_mount
from jepsenvm.machines.remote.data_mount import mount_again

ROOT = "21 1 254:0 / / rw,relatime - ext4 /dev/vda rw"
OWN = "98 21 8:16 / /var/lib/rabbitmq rw,relatime shared:27 - xfs {} rw"


@pytest.mark.parametrize(
    ("table", "source", "command"),
    [
        ("UUID=7 /var/lib/rabbitmq xfs defaults 0 2", "/dev/loop0", "mount /var/lib/rabbitmq"),
        ("# /dev/sdb /var/lib/rabbitmq xfs", "/dev/sdb", "mount -t xfs /dev/sdb /var/lib/rabbitmq"),
        ("#/dev/sdb /var/lib/rabbitmq xfs", "/dev/loop0", ""),
        ("/dev/sda / ext4\n\n", "/dev/sdb", "mount -t xfs /dev/sdb /var/lib/rabbitmq"),
        ("", "/dev/gone", ""),
    ],
)
def test_the_command_that_mounts_it_again(
    table: str, source: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_mount, "TABLE", tmp_path / "fstab")
    monkeypatch.setattr(data_mount, "MOUNTS", tmp_path / "mountinfo")
    monkeypatch.setattr(
        Path, "is_block_device", lambda path: str(path) in ("/dev/sdb", "/dev/loop0")
    )
    (tmp_path / "mountinfo").write_text(f"{ROOT}\n{OWN.format(source)}\n")
    if table:
        (tmp_path / "fstab").write_text(f"{table}\n")
    assert mount_again() == command


def test_nothing_is_mounted_again_that_was_not_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_mount, "TABLE", tmp_path / "fstab")
    monkeypatch.setattr(data_mount, "MOUNTS", tmp_path / "mountinfo")
    (tmp_path / "mountinfo").write_text(f"{ROOT}\n")
    assert mount_again() == ""
