"""Whether RabbitMQ's data, and nothing else, is on a file system that can lose unsynced writes."""

from __future__ import annotations

import os
import pwd
import re
import stat
from pathlib import Path

DATA = Path("/var/lib/rabbitmq")
KINDS = ("ext4", "xfs")
OTHERS = ("lost+found", "jepsenvm-")


def own_file_system() -> bool:
    """Return whether an ext4 or xfs file system is mounted at DATA, whole, and nowhere else."""
    try:
        device = DATA.stat().st_dev
        mounts = Path("/proc/self/mountinfo").read_text()
        return (
            device != Path("/").stat().st_dev
            and DATA.resolve() == DATA
            and only_mount(mounts, f"{os.major(device)}:{os.minor(device)}")
            and only_rabbit(device)
        )
    except OSError:
        return False


def only_mount(mountinfo: str, device: str) -> bool:
    """Return whether a device is mounted at DATA only, with its root, and nothing is below it."""
    mounts = [line.split() for line in mountinfo.splitlines()]
    of_device = [fields for fields in mounts if fields[2] == device]
    below = [fields for fields in mounts if fields[4].startswith(f"{DATA}/")]
    return len(of_device) == 1 and not below and is_whole(of_device[0])


def is_whole(fields: list[str]) -> bool:
    """Return whether a line of mountinfo has the root of a suitable file system at DATA."""
    kind, source = fields[fields.index("-") + 1 : fields.index("-") + 3]
    return (
        fields[3] == "/"
        and fields[4] == str(DATA)
        and kind in KINDS
        and re.fullmatch("/dev/[A-Za-z0-9/._:+-]+", source) is not None
    )


def only_rabbit(device: int) -> bool:
    """Return whether everything at DATA is RabbitMQ's, and its database is really there."""
    try:
        user = pwd.getpwnam("rabbitmq").pw_uid
    except KeyError:
        user = None
    entries = [entry for entry in DATA.iterdir() if not entry.name.startswith(OTHERS)]
    if any(entry.lstat().st_uid != user for entry in entries):
        return False
    databases = [entry.lstat() for entry in entries if entry.name == "mnesia"]
    return all(stat.S_ISDIR(one.st_mode) and one.st_dev == device for one in databases)
