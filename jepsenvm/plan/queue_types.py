"""Queue types: how each is declared, its plan keys, and the RabbitMQ versions that have it.

Everything that jepsenvm knows about one type of queue stands here. A new type is one entry in
``_SPECS`` and its name in ``QueueType``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

QueueType = Literal["quorum", "mirrored", "classic", "stream"]


class MinimumVersion(NamedTuple):
    """A feature that a plan needs, and the first RabbitMQ version with it."""

    feature: str
    version: tuple[int, int]


@dataclass(frozen=True)
class QueueTypeSpec:
    """The facts about one queue type that plans, workloads and preflight need."""

    about: str
    """One line for the documentation."""
    arguments: Mapping[str, str]
    """The arguments of ``queue.declare``."""
    own_keys: tuple[str, ...] = ()
    """Plan keys that are accepted for this queue type only."""
    minimum_version: MinimumVersion | None = None
    removed_in: tuple[int, int] | None = None
    """The first RabbitMQ version without this queue type."""
    transactions: bool = False
    """Whether a transaction can confirm messages."""
    load_consumers: bool = True
    """Whether several consumers share the messages of one queue."""
    consumer_timeouts_ended: tuple[int, int] | None = None
    """The first RabbitMQ version in which queues of this type have no consumer timeout."""
    delivery_count: bool = False
    """Whether the broker counts deliveries in the header ``x-delivery-count``."""


_SPECS: Final[Mapping[QueueType, QueueTypeSpec]] = {
    "quorum": QueueTypeSpec(
        about="replicated with Raft; confirms what a majority of its replicas has",
        arguments={"x-queue-type": "quorum"},
        own_keys=("quorum-group-size", "delivery-limit"),
        delivery_count=True,
    ),
    "mirrored": QueueTypeSpec(
        about="a classic queue with mirrors",
        # A mirrored queue is a classic queue with a name that the run's policy matches.
        arguments={"x-queue-type": "classic"},
        own_keys=("mirrors", "sync-mode", "promote-on-shutdown", "promote-on-failure"),
        removed_in=(4, 0),
        transactions=True,
    ),
    "classic": QueueTypeSpec(
        about="on one node, without replicas",
        arguments={"x-queue-type": "classic"},
        transactions=True,
        consumer_timeouts_ended=(4, 3),
    ),
    "stream": QueueTypeSpec(
        about="a replicated log; reading removes nothing",
        arguments={"x-queue-type": "stream"},
        minimum_version=MinimumVersion("streams", (3, 9)),
        load_consumers=False,
    ),
}


def queue_type_spec(name: QueueType) -> QueueTypeSpec:
    """Return the facts about a queue type."""
    return _SPECS[name]


def keys_of_one_queue_type() -> Mapping[str, QueueType]:
    """Return the queue type of each plan key that only one queue type accepts."""
    return {key: name for name, spec in _SPECS.items() for key in spec.own_keys}


def queue_types_with_transactions() -> tuple[QueueType, ...]:
    """Return the queue types in which a transaction can confirm messages."""
    return tuple(name for name, spec in _SPECS.items() if spec.transactions)
