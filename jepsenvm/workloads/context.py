"""What the engine of a run gives to its workload."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from jepsenvm.errors import RunError
from jepsenvm.history.journal import Journal
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import Address
from jepsenvm.rabbitmq.topology_listing import Binding, Listing
from jepsenvm.workloads.bodies import Bodies, bodies_of
from jepsenvm.workloads.clients import Clients
from jepsenvm.workloads.routes import Routes
from jepsenvm.workloads.share import EVERY_CLIENT, Share

logger = logging.getLogger(__name__)


@dataclass
class OpCounts:
    """The completed ops of one publisher, or of the lock clients of one node."""

    ok: int = 0
    failed: int = 0
    unknown: int = 0
    """Ops that ended as ``info``."""

    def line(self, name: str) -> str:
        """Return the counts as a line of progress."""
        total = self.ok + self.failed + self.unknown
        return f"{name} sent {self.ok}, failed {self.failed}, unknown {self.unknown}, total {total}"


ListNode = Callable[[str], Awaitable[Listing]]
"""Asks the node with this name for its queues, exchanges and bindings.

Raises JepsenvmError if the node does not answer.
"""


async def _refuse(node: str) -> Listing:
    raise RunError("nothing can be listed", node=node)


@dataclass(frozen=True)
class QueueStatus:
    """What the broker reports about a queue after the load."""

    messages: int | None
    """0 only if every node reports an empty queue; None if no node knows the queue."""
    text: str
    """The report for the log and the history."""
    unacknowledged: int = 0
    """Messages delivered to a client that has not acknowledged them."""
    deleted: bool = False
    """Whether a broker logged that a client deleted the queue."""

    @property
    def is_gone(self) -> bool:
        """Whether no node knows the queue."""
        return self.messages is None


def gone_queues(statuses: Mapping[str, QueueStatus]) -> dict[str, list[str]]:
    """Return what a history records about the queues that are gone; nothing if none is."""
    gone = [queue for queue, status in statuses.items() if status.is_gone]
    deleted = [queue for queue in gone if statuses[queue].deleted]
    return {key: queues for key, queues in (("gone", gone), ("deleted", deleted)) if queues}


GetQueueStatus = Callable[[str], Awaitable[QueueStatus]]
"""Asks the broker about the queue with this name."""

ListQueues = Callable[[Sequence[str]], Awaitable[Mapping[str, QueueStatus]]]
"""Asks every node once for its queues; returns the status of each queue with one of these names."""

ListBindings = Callable[[str], Awaitable[frozenset[Binding]]]
"""Asks the node with this name for its bindings.

Raises JepsenvmError if the node does not answer.
"""


async def _refuse_queues(_names: Sequence[str]) -> Mapping[str, QueueStatus]:
    raise RunError("no queues can be listed")


async def _refuse_bindings(node: str) -> frozenset[Binding]:
    raise RunError("no bindings can be listed", node=node)


@dataclass
class Context:
    """The plan, connections and history of one run."""

    plan: Plan
    addresses: Sequence[Address]
    """One per node."""
    queue: str
    """The name of the run's first queue, which most runs have alone; see ``routes``.

    It is new for every run, so no run reads another run's messages.
    """
    journal: Journal
    stop: asyncio.Event
    """Set when the load must end."""
    op_counts: dict[str, OpCounts] = field(default_factory=dict)
    """By publisher."""
    clients: Clients = field(default_factory=Clients)
    """Those of this process."""
    list_node: ListNode = _refuse
    list_queues: ListQueues = _refuse_queues
    list_bindings: ListBindings = _refuse_bindings
    share: Share = EVERY_CLIENT
    """The clients of the load that this process runs; all of them by default."""
    _logged: set[str] = field(default_factory=set)

    @cached_property
    def bodies(self) -> Bodies:
        """The bodies of this run's messages."""
        return bodies_of(self.plan, len(self.addresses))

    @cached_property
    def routes(self) -> Routes:
        """The names of the run's queues and exchanges, and the routes of its messages."""
        return Routes(self.plan.routing, self.queue)

    def log_once(self, line: str) -> None:
        """Log a line unless this run has logged it before."""
        if line not in self._logged:
            self._logged.add(line)
            logger.info(line)
