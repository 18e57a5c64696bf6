"""Files that only their owner can read, because they may contain secrets of hosts and brokers."""

from __future__ import annotations

import os
from pathlib import Path


def private(path: str, flags: int) -> int:
    """Open a file as the ``opener`` of ``open``: a new file gets the mode 0600."""
    return os.open(path, flags, 0o600)


def write_private(path: Path, text: str) -> None:
    """Write a text to a file that only its owner can read."""
    with open(path, "w", encoding="utf-8", opener=private) as file:
        file.write(text)


def replace_private(path: Path, text: str) -> None:
    """Write a text as ``write_private`` does; an interruption leaves the old file, if any."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)  # it would keep its own mode
    write_private(new, text)
    new.replace(path)


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner only."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
