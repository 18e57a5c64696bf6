"""The owner of a cluster's lock: the process that uses the cluster, and for what."""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jepsenvm.errors import shorten

_PROC = Path("/proc")


@dataclass(frozen=True)
class LockOwner:
    """A process that uses a cluster."""

    token: str
    """Different for every owner."""
    purpose: str
    """The command: ``run``, ``deploy`` and others."""
    user: str
    host: str
    pid: int
    started: str
    """When the process started, on the clock of its machine. A later process may get its pid."""
    machine: str
    """The boot of the machine and the namespace of its pids: within both, a pid means one process
    at a time."""
    since: str
    run: str = ""
    """The run in its store: ``name/time``."""
    folder: str = ""
    """The folder of the run on the owner's machine."""

    @classmethod
    def of_this_process(cls, purpose: str, folder: Path | None = None) -> LockOwner:
        """Return this process as an owner; ``folder`` is the folder of its run."""
        pid = os.getpid()
        resolved = folder.resolve() if folder is not None else None
        return cls(
            token=uuid.uuid4().hex,
            purpose=purpose,
            user=_user(),
            host=socket.gethostname(),
            pid=pid,
            started=_started(pid),
            machine=this_machine(),
            since=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            run=f"{resolved.parent.name}/{resolved.name}" if resolved else "",
            folder=str(resolved) if resolved else "",
        )

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> LockOwner:
        """Return the owner that a host has on record; a value that it lacks is empty."""
        texts = {field.name: _line(data.get(field.name, "")) for field in fields(cls)}
        pid = texts.pop("pid")
        return cls(**texts, pid=int(pid) if pid.isascii() and pid.isdecimal() else 0)

    def as_data(self) -> dict[str, Any]:
        """Return the owner as a host keeps it."""
        return asdict(self)

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the process runs, or ran, where this process runs."""
        return self.machine == this_machine()

    @property
    def is_dead(self) -> bool:
        """Whether the process has certainly ended, which only its own machine can tell."""
        return self.is_on_this_machine and not _may_run(self.pid, self.started)

    def describe(self) -> str:
        """Return the owner in words."""
        what = f"`jepsenvm {self.purpose}`" + (f" {self.run}" if self.run else "")
        who = f"{self.user}@{self.host}, process {self.pid}"
        return shorten(f"{what} ({who}) since {self.since}", 300)


def _line(value: object) -> str:
    """Return a value without characters that a terminal would interpret."""
    return "".join(character for character in str(value)[:4096] if character.isprintable())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user in the user database
        return str(os.getuid())


def this_machine() -> str:
    """Return what identifies the boot of this machine and the namespace of its pids."""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"


def _may_run(pid: int, started: str) -> bool:
    """Return False if the process that started then has certainly ended."""
    try:
        if pid > 0:
            os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs, as another user
    try:
        return _started(pid) == started
    except OSError:  # /proc may hide the processes of other users
        return True


def _started(pid: int) -> str:
    """Return the start time of a process in clock ticks since the boot.

    Empty for a process that has ended but that its parent has not waited for.
    """
    stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    # The name of the program, in parentheses, may contain blanks. See proc(5).
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else rest[18]
