"""Recovery: after the last fault, the cluster has a deadline to recover by itself.

After the deadline, nodes that did not recover are restarted, and the history records that.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from jepsenvm.errors import JepsenvmError, message_of
from jepsenvm.history.journal import Journal
from jepsenvm.history.nemesis_records import RECOVER, RESTARTED_QUEUES
from jepsenvm.history.op import NEMESIS
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.faults.restart import Restart
from jepsenvm.rabbitmq import cluster_view, queue_listing
from jepsenvm.rabbitmq import ctl as broker
from jepsenvm.rabbitmq.amqp import Address
from jepsenvm.rabbitmq.connections import refusals

logger = logging.getLogger(__name__)

POLL_S: Final = 1.0

SETTLE_S: Final = 30.0
"""Seconds that the cluster has after each restart.

Autoheal may restart nodes about once a minute, without end.
"""

LOGIN_S: Final = 5.0
"""Seconds that a node has to open an AMQP session, multiplied by the patience."""

ASK_S: Final = 15.0
"""Seconds that a node may take to say where the queue is."""

SECONDS_PER_QUEUE: Final = 0.01
"""Seconds that each of several queues adds to that."""

ROUNDS: Final = 4
"""Maximum number of rounds of restarts.

A partition may appear only when silent nodes are back, and may be remembered after that.
"""

ROUNDS_OF_A_PROBLEM: Final = 2
"""Maximum number of rounds of restarts against the same problems.

A node may need others that a round restarts after it, so the second round can help. No number of
restarts helps a node of RabbitMQ 3.8.9 whose virtual host no longer starts.
"""

SERVING_STATES: Final = ("running", "idle", "flow")
"""The states of a queue that has a leader and serves clients."""


@dataclass(frozen=True)
class NodeProblem:
    """Why a node is not a healthy member of the cluster."""

    text: str
    side: frozenset[str] | None = None
    """The nodes on its side of a partition, itself included; None if it does not answer."""
    remembers: bool = False
    """Whether it remembers a partition."""


Problems = dict[str, NodeProblem]
Placement = Mapping[str, queue_listing.Replicas]
"""Where queues are, by their names."""


@dataclass(frozen=True)
class Recovery:
    """Waits until the cluster is healthy, and restarts nodes that do not recover."""

    fleet: Fleet
    journal: Journal
    addresses: Sequence[Address]
    """Where clients reach the nodes."""
    queue: str
    deadline: float
    """Seconds that the cluster has to recover by itself."""
    may_restart: bool = True
    more_queues: Sequence[str] = ()
    """The further queues of a run with several, in the order of their numbers from 1."""

    async def wait(self) -> bool:
        """Wait for the cluster, restart nodes if necessary; return whether it recovered."""
        began = time.monotonic()
        problems, last_seen = await self._poll(self.deadline)
        restarted: set[str] = set()
        tried: list[Problems] = []
        placement: Placement | None = None
        if problems and not self.may_restart:
            logger.info(
                "no node is restarted: this is an existing cluster, and its allowed_faults has no "
                "restart"
            )
        for _ in range(ROUNDS if problems and self.may_restart else 0):
            if not placement:
                placement = await asyncio.to_thread(self._placement)
            holders = self._holders(placement)
            groups = to_restart(problems, self.fleet.nodes, restarted, holders)
            if not groups or tried.count(problems) == ROUNDS_OF_A_PROBLEM:
                break
            tried.append(problems)
            for group in groups:
                self._log_restart(group, problems)
                await asyncio.to_thread(self._restart, group)
                restarted.update(group)
                settle = min(SETTLE_S * self.fleet.patience, self.deadline)
                problems, seen_later = await self._poll(settle)
                last_seen = seen_later or last_seen
                if not problems:
                    break  # a restart of the others could only do harm
        self._record(began, last_seen, restarted, problems, placement or {})
        return not problems

    @property
    def _queues(self) -> list[str]:
        return [self.queue, *self.more_queues]

    def _placement(self) -> Placement:
        """Return where the run's queues are; without those of which nobody says it."""
        if not self.more_queues:
            replicas = self._replicas()
            return {self.queue: replicas} if replicas else {}
        seconds = ASK_S + SECONDS_PER_QUEUE * len(self._queues)
        for node in self.fleet.nodes:
            try:
                return queue_listing.replicas_of(self.fleet, node, self._queues, seconds)
            except JepsenvmError:
                continue
        return {}

    def _holders(self, placement: Placement) -> Collection[str]:
        """Return the nodes with a replica of every queue; none if that is unknown."""
        if len(placement) < len(self._queues):
            return ()
        return frozenset.intersection(*(frozenset(at.members) for at in placement.values()))

    def _replicas(self) -> queue_listing.Replicas | None:
        """Return where the queue is, by the first node that answers; None if none does."""
        for node in self.fleet.nodes:
            try:
                replicas = queue_listing.replicas(self.fleet, node, self.queue, ASK_S)
            except JepsenvmError:
                continue
            if replicas is not None:
                return replicas
        return None

    def _record(
        self,
        began: float,
        last_seen: float,
        restarted: Collection[str],
        problems: Problems,
        placement: Placement,
    ) -> None:
        seconds = round(time.monotonic() - began, 1)
        replicas = placement.get(self.queue)
        data: dict[str, Any] = {
            "seconds": seconds,
            "trouble-seconds": round(last_seen - began, 1) if last_seen else None,
            "deadline": self.deadline,
            "restarted": sorted(restarted),
            # Who held the messages decides whether a restart can have lost them.
            "replicas": sorted(replicas.members) if replicas else None,
            "troubles": {node: problem.text for node, problem in problems.items()},
        }
        if restarted and self.more_queues:
            data[RESTARTED_QUEUES] = [
                number
                for number, queue in enumerate(self._queues)
                if queue not in placement or set(placement[queue].members) <= set(restarted)
            ]
        self.journal.append("info", RECOVER, process=NEMESIS, data=data)
        if problems:
            logger.info(f"NOT recovered: {_text(problems)}")
        else:
            logger.info(f"recovered in {seconds} s")

    def _log_restart(self, group: Sequence[str], problems: Problems) -> None:
        for node in group:
            reason = problems[node].text if node in problems else "is on the wrong side"
            logger.info(
                f"{node} did not recover by itself in {self.deadline:g} s: {reason}; restarting it"
            )

    async def _poll(self, seconds: float) -> tuple[Problems, float]:
        """Return the problems of the nodes after some seconds; none as soon as there are none.

        The second value is when the last check that found a problem began, on the monotonic clock;
        0 if no check found one.
        """
        until = time.monotonic() + seconds
        logged, last_seen = "", 0.0
        while True:
            check_began = time.monotonic()
            # Views wait for nodes that do not answer, so none is asked while one refuses clients.
            problems = await self._refusals() or await asyncio.to_thread(self._problems)
            if problems:
                last_seen = check_began
            if not problems or time.monotonic() > until:
                return problems, last_seen
            if _text(problems) != logged:
                logged = _text(problems)
                logger.info(f"recovering: {logged}")
            await asyncio.sleep(POLL_S)

    async def _refusals(self) -> Problems:
        refused = await refusals(self.addresses, LOGIN_S * self.fleet.patience)
        return {
            node: NodeProblem(f"accepts no client: {reason}") for node, reason in refused.items()
        }

    def _problems(self) -> Problems:
        views = self.fleet.each_or_error(lambda node: cluster_view.view(self.fleet, node))
        problems = {
            node: problem
            for node, view in views.items()
            if (problem := self._view_problem(node, view))
        }
        return problems or self._queue_problem()

    def _view_problem(self, node: str, view: cluster_view.View | Exception) -> NodeProblem | None:
        if isinstance(view, Exception):
            return NodeProblem(message_of(view))
        problems = view.troubles(list(self.fleet.nodes))
        if not problems:
            return None
        return NodeProblem(", ".join(problems), view.side(node), bool(view.partitions.get(node)))

    def _queue_problem(self) -> Problems:
        # Every node serves clients at this point. A restart could only do harm, so the side of the
        # problem is the whole cluster, for which to_restart chooses no node.
        everyone, first = frozenset(self.fleet.nodes), next(iter(self.fleet.nodes))
        try:
            listed = queue_listing.queues(self.fleet, first)
        except JepsenvmError as error:
            return {first: NodeProblem(error.message, everyone)}
        # Nothing to wait for if a queue is gone. The drain reports that.
        queues = [listed[name] for name in self._queues if name in listed]
        waiting = [
            queue for queue in queues if queue.leader is None or queue.state not in SERVING_STATES
        ]
        if not waiting:
            return {}
        queue = waiting[0]
        which = "the queue" if not self.more_queues else f"the queue {queue.name}"
        more = f" ({len(waiting):,} queues do not serve)" if len(waiting) > 1 else ""
        text = f"{which} is {queue.state}, its leader is {queue.leader}{more}"
        return {queue.leader or first: NodeProblem(text, everyone)}

    def _listens(self, node: str) -> bool:
        address = (self.fleet.nodes[node].amqp_host, self.fleet.nodes[node].amqp_port)
        try:
            socket.create_connection(address, timeout=2 * self.fleet.patience).close()
        except OSError:
            return False
        return True

    def _restart(self, nodes: Sequence[str]) -> None:
        """Restart these nodes, and wait until they are back with their replicas of the queues."""
        before = self._placement()
        # Stop all before any starts. Otherwise the trusted side does not forget the partition.
        for act in (broker.stop, broker.start):
            answers = self.fleet.each_or_error(partial(act, self.fleet), nodes)
            for node, error in answers.items():
                if isinstance(error, Exception):
                    logger.info(f"{node} could not be restarted: {error}")
        until = time.monotonic() + self.deadline
        while not self._is_back(nodes, before) and time.monotonic() < until:
            time.sleep(POLL_S)

    def _is_back(self, nodes: Sequence[str], before: Placement) -> bool:
        """Return whether nodes listen, and their replicas and all earlier ones are online."""
        if not all(map(self._listens, nodes)):
            return False
        if not before:
            return True
        now = self._placement()
        return all(
            queue in now and _expected_online(at, nodes) <= set(now[queue].online)
            for queue, at in before.items()
        )


def _expected_online(before: queue_listing.Replicas, restarted: Sequence[str]) -> set[str]:
    """Return the nodes whose replicas must be online after a restart of some nodes."""
    if len(before.members) == 1 and not before.online:
        return set()  # a classic queue, of which some versions never list who is online
    return set(before.online) | (set(before.members) & set(restarted))


def may_restart(inventory: Inventory) -> bool:
    """Return whether recovery may restart nodes.

    Nodes of an existing cluster are restarted only if ``allowed_faults`` lists ``restart``.
    """
    return not inventory.existing or Restart.kind in (inventory.allowed_faults or ())


def to_restart(
    problems: Mapping[str, NodeProblem],
    nodes: Iterable[str],
    restarted: Collection[str],
    holders: Collection[str],
) -> list[list[str]]:
    """Return the nodes to restart: groups one after the other, the nodes of a group together.

    ``holders`` are the nodes with a replica of the queue; none if that is unknown.

    Nodes that do not answer are restarted first, one by one. If all answer and a partition
    persists, the largest side is trusted and the other nodes are restarted, as the RabbitMQ guide
    on network partitions recommends: they take over the state of the trusted side. If that was
    done and nodes of the trusted side still remember the partition, the guide restarts those as
    well, one by one.

    A restart of all replicas of a queue at once could itself lose messages. So nodes are restarted
    together only if a node outside of the group has a replica.
    """
    silent = sorted(node for node, problem in problems.items() if problem.side is None)
    if silent:
        return [[node] for node in silent]
    everyone = frozenset(nodes)
    sides = [
        problem.side for problem in problems.values() if problem.side and problem.side != everyone
    ]
    trusted = max(sides, key=lambda side: (len(side), sorted(side)), default=everyone)
    others = sorted(everyone - trusted - set(restarted))
    if others:
        return [others] if set(holders) - set(others) else [[node] for node in others]
    return [[node] for node, problem in sorted(problems.items()) if problem.remembers]


def _text(problems: Mapping[str, NodeProblem]) -> str:
    return "; ".join(f"{node} {problem.text}" for node, problem in sorted(problems.items()))
