#!/usr/bin/python
"""Ansible module: reads in one round trip everything about a host that decides what to change.

It changes nothing. The result has one key, ``host``, with the keys of ``inspected``.
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

SERVICE = "rabbitmq-server"
MNESIA = Path("/var/lib/rabbitmq/mnesia")
PORT_MAPPER_SOCKETS = ("epmd.socket", "epmd@0.0.0.0.socket")
SETTLED = ("inactive", "failed")
"""The states of a unit that does not run and does not start by itself."""

TIMEOUT_S = 60


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "required": True},
            "folder": {"type": "path", "required": True},
            "marker": {"type": "path", "required": True},
            "aside": {"type": "path", "required": True},
            "paths": {"type": "list", "elements": "path", "default": []},
            "read_at_start": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, host=inspected(**module.params))


def inspected(
    node: str, folder: str, marker: str, aside: str, paths: list[str], read_at_start: list[str]
) -> dict[str, Any]:
    """Return the state of the host.

    ``folder`` is jepsenvm's, ``aside`` the folder of a file system that was put aside. ``paths``
    are those whose state is returned. The broker reads the files in ``read_at_start``, and those
    in folders there, only when it starts.
    """
    unit = _unit(SERVICE)
    active = unit.get("ActiveState") in ("active", "reloading")
    has_database = bool(_inner(MNESIA))
    return {
        "os": _os_release(),
        "free_mib": shutil.disk_usage("/var").free >> 20,
        # jepsenvm's record of the installation, and the marker of the cluster.
        "record": json.loads(_read(Path(folder, "rabbitmq.json")) or "{}"),
        "marked": os.path.lexists(marker),
        "marker": _read(Path(marker)),
        # What is installed. dpkg-query prints `installed 3.10.8-1.1+deb12u1` for a package.
        "package": _output("dpkg-query", "--show", "--showformat=" + _STATUS, SERVICE),
        "packages": _installed_packages(),
        "archive": _link(Path(folder, "rabbitmq")),
        "erlang": shutil.which("erl") or "",
        # The broker.
        "active": active,
        "enabled": unit.get("UnitFileState") == "enabled",
        "settled": unit.get("ActiveState") in SETTLED,
        "database": has_database,
        "unread": _newer(MNESIA / f"rabbit@{node}.pid", map(Path, read_at_start)),
        "daemon_reload": any(
            _unit(name).get("NeedDaemonReload") == "yes" for name in (SERVICE, *PORT_MAPPER_SOCKETS)
        ),
        # A broker without the marker is not jepsenvm's, because jepsenvm writes the marker before
        # its RabbitMQ first starts. A stopped broker counts too if it has a database.
        "foreign": not os.path.lexists(marker) and (active or has_database),
        # Addresses and files.
        "addresses": _output("hostname", "--all-ip-addresses").split(),
        "ssh_connection": _ssh_connection(),
        "port_mapper": _port_mapper_addresses(),
        "hosts": _read(Path("/etc/hosts")),
        "aside": os.path.ismount(aside),
        "paths": {path: _path_state(Path(path)) for path in paths},
    }


_STATUS = "${db:Status-Status} ${Version}"


def _output(*command: str) -> str:
    """Return what a command prints; an empty text if the host has no such command."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return done.stdout.decode("utf-8", "replace").strip()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _link(path: Path) -> str:
    return str(path.readlink()) if path.is_symlink() else ""


def _inner(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing if there is no such folder."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _assignments(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip().strip("\"'") for key, value in pairs}


def _os_release() -> dict[str, Any]:
    """Return the name of the distribution, and whether it is Debian or derives from it."""
    found = _assignments(_read(Path("/etc/os-release")) or _read(Path("/usr/lib/os-release")))
    kinds = [found.get("ID", ""), *found.get("ID_LIKE", "").split()]
    return {"name": found.get("PRETTY_NAME", "an unknown system"), "debian": "debian" in kinds}


def _unit(name: str) -> dict[str, str]:
    """Return properties of a systemd unit. A unit that does not exist is inactive."""
    wanted = "--property=ActiveState,UnitFileState,NeedDaemonReload"
    return _assignments(_output("systemctl", "show", wanted, "--", name))


def _installed_packages() -> list[str]:
    lines = _output("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n")
    pairs = (line.split(" ", 1) for line in lines.splitlines())
    return sorted({pair[1] for pair in pairs if pair[0] == "installed"})


def _newer(than: Path, paths: Iterable[Path]) -> list[str]:
    """Return the paths that were changed after a file was; none if there is no such file."""
    if not than.exists():
        return []
    since = than.stat().st_mtime_ns
    found = [one for path in paths for one in (path, *_inner(path)) if one.exists()]
    return [str(one) for one in found if one.stat().st_mtime_ns > since]


def _ssh_connection() -> str:
    """Return the variable SSH_CONNECTION; empty if the connection is not SSH.

    sudo removes it from the environment, but the processes that started sudo still have it.
    """
    process = os.getpid()
    while process > 1:
        folder = Path("/proc", str(process))
        try:
            variables = (folder / "environ").read_bytes().decode("utf-8", "replace").split("\0")
            status = (folder / "status").read_text()
        except OSError:
            return ""
        for variable in variables:
            if variable.startswith("SSH_CONNECTION="):
                return variable.split("=", 1)[1]
        process = next(
            int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:")
        )
    return ""


def _port_mapper_addresses() -> list[str]:
    """Return where Erlang's port mapper listens; none if it does not run."""
    rows = _output("ss", "--listening", "--tcp", "--numeric", "--no-header", "sport = :4369")
    return [row.split()[3] for row in rows.splitlines()]


def _path_state(path: Path) -> dict[str, str]:
    """Return the kind of a path, its owner, group and mode, and the SHA-256 of a file."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return {"state": "absent"}
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory"}
    state = {
        "state": kinds.get(stat.S_IFMT(found.st_mode), "other"),
        "owner": _name(pwd.getpwuid, found.st_uid),
        "group": _name(grp.getgrgid, found.st_gid),
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
    }
    if state["state"] == "file":
        state["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return state


def _name(lookup: Any, number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


if __name__ == "__main__":
    main()
