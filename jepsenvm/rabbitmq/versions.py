"""Versions of RabbitMQ, and what differs between them."""

from __future__ import annotations

import re
from typing import Final

from jepsenvm.plan.message_sizes import MOST_BYTES

PARTITION_HANDLING_ENDED: Final = (4, 3)
"""The first release without partition handling: Khepri replaces Mnesia."""

SMALLER_MESSAGES_BEGAN: Final = (4, 0)
"""The first release with a smaller default of ``max_message_size``."""
SMALLER_MESSAGES: Final = 16 * 1024 * 1024
"""Its default in bytes."""


def largest_message(version: str) -> int:
    """Return the largest message in bytes that this version accepts by default."""
    return SMALLER_MESSAGES if release(version) >= SMALLER_MESSAGES_BEGAN else MOST_BYTES


def release(text: str) -> tuple[int, ...]:
    """Return a version as numbers: (3, 10) for "3.10.8"."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def release_text(numbers: tuple[int, ...]) -> str:
    """Return a release as text: "3.10" for (3, 10)."""
    return ".".join(map(str, numbers))
