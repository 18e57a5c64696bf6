"""Versions of RabbitMQ."""

from __future__ import annotations

import re
from typing import Final

PARTITION_HANDLING_ENDED: Final = (4, 3)
"""The first release without partition handling: Khepri replaces Mnesia."""


def release(text: str) -> tuple[int, ...]:
    """Return a version as numbers: (3, 10) for "3.10.8"."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def release_text(numbers: tuple[int, ...]) -> str:
    """Return a release as text: "3.10" for (3, 10)."""
    return ".".join(map(str, numbers))
