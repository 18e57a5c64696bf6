"""The disk of a host's RabbitMQ data: an ext4 file system of its own, in a sparse file.

A killed host alone keeps what it wrote, because the page cache belongs to this machine. A file
system that is shut down keeps only what was synced.

The disk is mounted in a mount namespace of the host's supervisor, so it is unmounted when the last
process of the host has ended. A mount of this machine would be copied into the namespaces of all
hosts that start later, and would stay in use by them.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from jepsenvm.errors import CommandError, RunError
from jepsenvm.machines.lab.command import run
from jepsenvm.machines.lab.topology import DATA_DIR, LabHost

logger = logging.getLogger(__name__)

SIZE: Final = 16 * 2**30
"""Bytes of a disk. The file takes only as much room as the data."""

MKFS: Final = (
    *("mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=64"),
    *("-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"),
)
"""Makes the file system without writing the parts that are zero in a new file anyway."""

OPTIONS: Final = "loop,discard,noinit_itable"
"""Mount options. ``discard`` gives the room of deleted data back to this machine."""

_MOUNT: Final = f"""mount -t ext4 -o {OPTIONS} "$1" "$2"
rmdir "$2/lost+found" 2>/dev/null || true
shift 2
exec "$@\""""
"""Mounts a disk and becomes another program. Its arguments are the disk, the folder, the program's
command line."""

_LOOP_DEVICES: Final = Path("/sys/block")


def create(host: LabHost) -> None:
    """Create the disk of a host. On a machine that cannot mount it, the host has none."""
    host.data.mkdir(exist_ok=True, mode=0o755)
    with host.disk.open("wb") as disk:
        disk.truncate(SIZE)
    run([*MKFS, str(host.disk)])
    try:
        run(["setpriv", "--pdeathsig", "KILL", *mounted(host, ["true"])])
    except CommandError as problem:
        logger.info(f"{host.name} has no disk that can lose unsynced writes: {problem.message}")
        host.disk.unlink()
    wait_until_unmounted(host)


def mounted(host: LabHost, argv: list[str]) -> list[str]:
    """Return the command that runs argv where the disk of a host is mounted; argv without one."""
    if not host.disk.exists():
        return argv
    enter = ["unshare", "--mount", "--propagation", "slave", "sh", "-ec", _MOUNT, "mount"]
    return [*enter, str(host.disk), str(host.data), *argv]


def nspawn_options(host: LabHost) -> list[str]:
    """Return the options of systemd-nspawn with which a host has its disk; none without one."""
    return [f"--bind={host.data}:{DATA_DIR}"] if host.disk.exists() else []


@contextmanager
def opened(host: LabHost, supervisor: int) -> Iterator[int]:
    """Yield a descriptor of the mounted disk; ``supervisor`` is a process that sees it.

    The disk stays mounted until the end. Raise RunError if this is not the disk of the host.
    """
    # Only this path leads into the mount namespace of the process.
    folder = Path(f"/proc/{supervisor}/root{host.data}")
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as problem:
        raise _no_disk(host, str(problem.strerror)) from problem
    try:
        _require_disk(host, descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def wait_until_unmounted(host: LabHost, patience: float = 30) -> None:
    """Wait until the kernel has released the disk; raise RunError if something else keeps it.

    A disk that was shut down and is still mounted somewhere would give nothing but errors.
    """
    deadline = time.monotonic() + patience
    while device := _loop_device(host):
        if time.monotonic() > deadline:
            raise RunError(
                f"its disk {host.disk} stays mounted",
                node=host.name,
                remedy=f"see who uses it with `grep -l {device} /proc/[0-9]*/mountinfo`, end that, "
                f"and run `{host.lab.command('down')}`",
            )
        time.sleep(0.02)


def _require_disk(host: LabHost, descriptor: int) -> None:
    """Raise RunError unless a descriptor belongs to the host's disk and to nothing else.

    Whatever else is on a file system would lose its unsynced writes too.
    """
    device = os.fstat(descriptor).st_dev
    numbers = f"{os.major(device)}:{os.minor(device)}"
    if device in {Path("/").stat().st_dev, host.folder.stat().st_dev}:
        raise _no_disk(host, "its data is on the disk of this machine")
    if _backing_file(Path("/sys/dev/block", numbers)) != str(host.disk):
        raise _no_disk(host, f"its data is on the device {numbers}")


def _no_disk(host: LabHost, reason: str) -> RunError:
    return RunError(
        f"its disk {host.disk} is not mounted: {reason}",
        node=host.name,
        remedy=f"make the lab anew with `{host.lab.command('down')}` and "
        f"`{host.lab.command('up')}`",
    )


def _loop_device(host: LabHost) -> str | None:
    """Return the name of the loop device of a host's disk; None if it has none."""
    for device in _LOOP_DEVICES.glob("loop*"):
        # The kernel marks a file that was removed.
        if _backing_file(device).removesuffix(" (deleted)") == str(host.disk):
            return device.name
    return None


def _backing_file(device: Path) -> str:
    try:
        return (device / "loop/backing_file").read_text().rstrip("\n")
    except OSError:
        return ""
