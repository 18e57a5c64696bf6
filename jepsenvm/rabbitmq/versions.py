"""Versions of RabbitMQ, and what each of them can be asked."""

from __future__ import annotations

import re
from typing import Final

from jepsenvm.plan.message_sizes import MOST_BYTES

PARTITION_HANDLING_ENDED: Final = (4, 3)
"""The first release without partition handling: Khepri replaces Mnesia."""

LEADER_COLUMNS_BEGAN: Final = (3, 10)
"""The first release whose ``list_queues`` surely has the columns leader, members and online.

3.8.9 has none of them, 3.10.8 has all. The process in the column pid runs on the leader in every
release, and ``rabbitmq-queues quorum_status`` lists the members of a quorum queue.
"""

SMALLER_MESSAGES_BEGAN: Final = (4, 0)
"""The first release with a smaller default of ``max_message_size``."""
SMALLER_MESSAGES: Final = 16 * 1024 * 1024
"""Its default in bytes."""

RAFT_STATES: Final = frozenset(
    {
        "leader",
        "follower",
        "candidate",
        "pre_vote",
        "await_condition",
        "recover",
        "recovered",
        "receive_snapshot",
        "stop",
    }
)
"""The states of a quorum queue's replica that is up; others are errors, such as ``noproc``.

The source is ``ra_server:ra_state()`` of the Ra library.
"""


def has_leader_columns(version: str) -> bool:
    """Return whether ``list_queues`` of this version has the columns leader, members and online."""
    return release(version) >= LEADER_COLUMNS_BEGAN


def largest_message(version: str) -> int:
    """Return the largest message in bytes that this version accepts by default."""
    return SMALLER_MESSAGES if release(version) >= SMALLER_MESSAGES_BEGAN else MOST_BYTES


def release(text: str) -> tuple[int, ...]:
    """Return a version as numbers: (3, 10) for "3.10.8"."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def release_text(numbers: tuple[int, ...]) -> str:
    """Return a release as text: "3.10" for (3, 10)."""
    return ".".join(map(str, numbers))
