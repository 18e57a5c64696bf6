"""What a lab has on this machine. Once it is down, all of this is left over.

Other labs may be up, and other processes may build a base, at the same time.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from jepsenvm.machines.lab import locks
from jepsenvm.machines.lab.names import DEFAULT_NAME
from jepsenvm.machines.lab.topology import CACHE, LAB

OF_A_NAMED_LAB = re.compile(
    r"\bjepsenvm-([a-z][a-z0-9]*)-(?:n\d|switch)\b|/lab-([a-z][a-z0-9]*)\b|\bjepsen-([a-z][a-z0-9]*)$"
)
"""A container, namespace or unit, a folder, or an interface, with the name of its lab."""

BUILD = re.compile(r"/building-([a-z]+)-")
"""The folder of a base that is being built, with its suite."""


def left_of(name: str = DEFAULT_NAME) -> list[str]:
    """List what a lab has on this machine, without the cached bases.

    The default lab gets everything that belongs to no named lab.
    """
    return [line for line in _everything() if _owner(line) == name]


def processes_of(name: str = DEFAULT_NAME) -> list[str]:
    """List the processes of a lab's hosts; for the default lab also those of builds."""
    return [line for line in _processes() if _owner(line) == name]


def _owner(line: str) -> str:
    found = OF_A_NAMED_LAB.search(line)
    return next(filter(None, found.groups())) if found else DEFAULT_NAME


def _everything() -> Iterator[str]:
    yield from (f"namespace {path}" for path in Path("/run/netns").glob("jepsenvm*"))
    names = (name for _, name in socket.if_nameindex())
    yield from (f"interface {name}" for name in names if name.startswith("jepsen"))
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    yield from (f"mount {at}" for at in mounts if "jepsenvm" in at and "/var/cache/" not in at)
    # Unlike Path.glob, this passes over a cgroup that another lab removes at this moment.
    for folder, below, _ in os.walk("/sys/fs/cgroup"):
        yield from (f"cgroup {folder}/{name}" for name in below if name.startswith("jepsenvm-"))
    yield from (f"trace {path}" for path in Path("/run/systemd/nspawn").glob("*/jepsenvm-*"))
    disks = map(_text, Path("/sys/block").glob("loop*/loop/backing_file"))
    yield from (f"disk {disk}" for disk in disks if "jepsenvm" in disk)
    yield from (f"half-built {path}" for path in CACHE.glob("building-*") if _abandoned(str(path)))
    if LAB.parent.exists():
        folders = list(LAB.parent.iterdir())
        yield from (f"folder {path}" for path in folders or [LAB.parent])
    yield from (f"process {line}" for line in _processes())


def _processes() -> Iterator[str]:
    for entry in Path("/proc").glob("[0-9]*"):
        line = f"{entry.name} {_text(entry / 'cmdline')} {_text(entry / 'cgroup')}"
        is_host = re.search(r"jepsenvm-([a-z0-9]+-)?n\d", line)
        is_build = "mmdebstrap" in line and _abandoned(line)
        status = _text(entry / "stat").rpartition(")")[2].split()
        if (is_host or is_build) and status and status[0] != "Z":
            yield line


def _abandoned(build: str) -> bool:
    """Return whether this names the folder of a build that no `jepsenvm lab up` waits for."""
    suite = BUILD.search(build)
    if suite is None:
        return False
    with locks.building_if_free(suite[1]) as is_free:
        return is_free


def _text(file: Path) -> str:
    """Return the text of a file of the kernel; nothing if what it describes has gone."""
    with suppress(OSError):
        return file.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""
