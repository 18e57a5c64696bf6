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
