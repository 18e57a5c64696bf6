"""The command that mounts the file system of RabbitMQ's data again after it was unmounted."""

from __future__ import annotations

from pathlib import Path

MOUNT_POINT = "/var/lib/rabbitmq"
TABLE = Path("/etc/fstab")
MOUNTS = Path("/proc/self/mountinfo")


def mount_again() -> str:
    """Return the command; empty if nothing is mounted, or if its device could not be found again.

    A loop device may lose its file when it is unmounted. Containers may lack the device.
    """
    entries = [line.split() for line in TABLE.read_text().splitlines()] if TABLE.exists() else []
    if any(fields[1:2] == [MOUNT_POINT] and not fields[0].startswith("#") for fields in entries):
        return f"mount {MOUNT_POINT}"
    for fields in map(str.split, MOUNTS.read_text().splitlines()):
        kind, source = fields[fields.index("-") + 1 : fields.index("-") + 3]
        if fields[4] == MOUNT_POINT and is_disk(source):
            return f"mount -t {kind} {source} {MOUNT_POINT}"
    return ""


def is_disk(source: str) -> bool:
    """Return whether a device is there, and is not a loop device."""
    return not source.startswith("/dev/loop") and Path(source).is_block_device()
