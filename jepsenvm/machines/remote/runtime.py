"""Find the Erlang runtime of RabbitMQ's service on this host."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import Any

DEAD = "ZX"


def runtime() -> dict[str, Any] | None:
    """Return pid, state and start time of the Erlang runtime of the service; None without one.

    If no cgroup names the service, return a runtime of RabbitMQ's user.
    """
    living = [
        folder
        for folder in Path("/proc").glob("[0-9]*")
        if read(folder / "comm").strip() == "beam.smp" and standing(read(folder / "stat"))
    ]
    ours = [folder for folder in living if "rabbitmq-server" in read(folder / "cgroup")]
    # rabbitmqctl is an Erlang runtime too, and may run as the same user. It runs an escript.
    found = ours or [
        one
        for one in living
        if is_rabbit(one) and "-escript" not in read(one / "cmdline").split("\0")
    ]
    known = [one for folder in found if (one := standing(read(folder / "stat")))]
    return min(known, key=lambda one: one["started"], default=None)


def standing(stat: str) -> dict[str, Any] | None:
    """Return pid, state and start time of a live process from its /proc/PID/stat."""
    if ")" not in stat:
        return None
    # The name in parentheses may contain any character, also parentheses.
    fields = stat[stat.rindex(")") + 2 :].split()
    if fields[0] in DEAD:
        return None
    return {"pid": int(stat.split(" ", 1)[0]), "state": fields[0], "started": int(fields[19])}


def is_rabbit(folder: Path) -> bool:
    """Return whether a process runs as RabbitMQ's user."""
    try:
        return folder.stat().st_uid == pwd.getpwnam("rabbitmq").pw_uid
    except (KeyError, OSError):
        return False


def read(path: Path) -> str:
    """Return a file's text; an empty text if its process has ended."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
