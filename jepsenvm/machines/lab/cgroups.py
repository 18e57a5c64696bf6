"""A cgroup for each host: a systemd unit if systemd runs this machine, otherwise a new cgroup.

In a shared cgroup, the systemds of all hosts would manage the same tree. Stopping RabbitMQ on one
host would wait for RabbitMQ on all hosts, and finally kill it.
"""

from __future__ import annotations

import time
from pathlib import Path

from jepsenvm.errors import RunError
from jepsenvm.machines.lab.topology import LabHost

UNIT_SETTINGS = {"Delegate": "yes", "KillMode": "mixed"}


def enclosed(host: LabHost, argv: list[str]) -> list[str]:
    """Return the command that starts argv in the host's cgroup, detached from this process."""
    if Path("/run/systemd/system").is_dir():
        return as_unit(host, argv)
    folders = _folders(host)
    for folder in folders:
        folder.mkdir(exist_ok=True)
    return in_cgroups(folders, argv)


def as_unit(host: LabHost, argv: list[str]) -> list[str]:
    """Return the command that starts argv as a unit of this machine's systemd."""
    settings = UNIT_SETTINGS | dict.fromkeys(
        ("StandardOutput", "StandardError"), f"append:{host.console}"
    )
    unit = ["systemd-run", "--quiet", "--collect", "--service-type=exec", f"--unit={host.machine}"]
    for name, value in settings.items():
        unit += ["-p", f"{name}={value}"]
    return [*unit, "-E", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", "--", *argv]


def in_cgroups(folders: list[Path], argv: list[str]) -> list[str]:
    """Return the command that starts argv in cgroups."""
    enter = (
        'while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit; shift; done; shift; exec "$@"'
    )
    return ["setsid", "--fork", "sh", "-c", enter, "enter", *map(str, folders), "--", *argv]


def remove(host: LabHost, patience: float = 15) -> None:
    """Remove the host's unit or cgroups, once its processes are gone."""
    deadline = time.monotonic() + patience
    while left := _left(host):
        if time.monotonic() > deadline:
            raise RunError(
                f"{left[0]} outlives its processes",
                node=host.name,
                remedy=f"run `{host.lab.command('down')}`",
            )
        time.sleep(0.02)


def hierarchies(mountinfo: str) -> list[Path]:
    """Return the mount points of the hierarchies that systemd manages, in cgroup 2 and 1."""
    found = []
    for line in mountinfo.splitlines():
        mount, _, file_system = line.partition(" - ")
        kind, _, options = file_system.split(maxsplit=2)
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(mount.split()[4]))
    return found


def _left(host: LabHost) -> list[Path]:
    # systemd unloads the unit by itself.
    unit = Path("/run/systemd/transient", f"{host.machine}.service")
    return [place for place in [unit] if place.exists()] + [
        f for f in _folders(host) if not _removed(f)
    ]


def _removed(folder: Path) -> bool:
    try:
        for below in sorted(folder.rglob("*/"), key=lambda path: len(path.parts), reverse=True):
            below.rmdir()
        folder.rmdir()
    except OSError:
        return not folder.exists()
    return True


def _folders(host: LabHost) -> list[Path]:
    return [
        folder / host.machine for folder in hierarchies(Path("/proc/self/mountinfo").read_text())
    ]
