"""Unmounts file systems below folders, and removes folders without touching mounted ones."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from jepsenvm.errors import CommandError, RunError
from jepsenvm.machines.lab.command import run


def mounts_under(*folders: Path) -> list[Path]:
    """Return all mount points below folders, the most recent first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    targets = [Path(_unescaped(line.split()[4])) for line in lines]
    return [t for t in reversed(targets) if any(t.is_relative_to(folder) for folder in folders)]


def unmount_under(*folders: Path, patience: float = 10) -> None:
    """Unmount everything below folders, with retries: a process may just be ending there."""
    deadline = time.monotonic() + patience
    while found := mounts_under(*folders):
        try:
            run(["umount", str(found[0])])
        except CommandError as busy:
            if time.monotonic() > deadline:
                raise RunError(
                    f"cannot unmount {found[0]}: {busy.message}",
                    remedy=f"see who uses it with `fuser -vm {found[0]}`, end that, "
                    "and run the same command again",
                ) from busy
            time.sleep(0.1)


def remove_tree(folder: Path) -> None:
    """Remove a folder after unmounting everything below it."""
    unmount_under(folder)
    if folder.exists():
        shutil.rmtree(folder)


def _unescaped(field: str) -> str:
    # mountinfo escapes blanks, tabs, newlines and backslashes of a path as octal numbers.
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field
