"""What a workload is made of, and what it is given to work with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jepsenvm.checkers.verdict import Checker
from jepsenvm.history.journal import Journal
from jepsenvm.plan.config import Plan
from jepsenvm.rabbitmq.amqp import Address

logger = logging.getLogger(__name__)


@dataclass
class Tally:
    """How many ops of one publisher ended how."""

    sent: int = 0
    failed: int = 0
    unknown: int = 0

    def line(self, node: str) -> str:
        """Return the tally as people read it."""
        total = self.sent + self.failed + self.unknown
        return (
            f"{node} sent {self.sent}, failed {self.failed}, unknown {self.unknown}, total {total}"
        )


@dataclass
class Context:
    """What a workload works with during one run."""

    plan: Plan
    addresses: Sequence[Address]
    queue: str
    """The queue's name, new for every run, so that no run can read what another left."""
    journal: Journal
    stop: asyncio.Event
    """Set when the load is to end."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    """By publisher."""
    _told: set[str] = field(default_factory=set)

    def log_once(self, line: str) -> None:
        """Tell a line that would be true again and again."""
        if line not in self._told:
            self._told.add(line)
            logger.info(line)


@dataclass(frozen=True)
class Leftover:
    """What the broker says is still in the queue; None for a queue that no node knows any more."""

    messages: int | None
    text: str
    unacknowledged: int = 0
    """Those that are with a consumer."""


AskBroker = Callable[[str], Awaitable[Leftover]]
"""Tells of the queue of this name."""


@dataclass(frozen=True)
class Workload:
    """A workload: how it sets up, loads, drains and is judged."""

    setup: Callable[[Context, Sequence[str]], Coroutine[Any, Any, None]]
    """Deletes the queues of earlier runs (by name) and makes those of this one."""
    load: Callable[[Context], Sequence[Coroutine[Any, Any, None]]]
    """Its processes, to be run until ``stop`` is set or they end by themselves."""
    drain: Callable[[Context, AskBroker], Coroutine[Any, Any, None]]
    checkers: Callable[[Plan], Mapping[str, Checker]]
