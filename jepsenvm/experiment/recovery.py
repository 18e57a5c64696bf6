"""Recovery: after the last fault, the cluster gets a deadline to come back by itself; then we help, and say so."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from jepsenvm.errors import JepsenvmError
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import NEMESIS
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq import ctl as broker

logger = logging.getLogger(__name__)

POLL_S: Final = 1.0

SETTLE_S: Final = 30.0
"""So long a cluster gets after each time that we helped: autoheal itself may loop, about once a minute, for ever."""

ROUNDS: Final = 4
"""So often we help: a split may show only when those that were silent are back, and be remembered after it."""

LIVING: Final = ("running", "idle", "flow")
"""The states of a queue that has a leader and serves."""


@dataclass(frozen=True)
class NodeProblem:
    """What keeps one node from being a whole part of the cluster, and whom it has on its side, if it answers at all."""

    text: str
    side: frozenset[str] | None = None
    remembers: bool = False
    """Whether it is one of those that remember a partition."""


@dataclass(frozen=True)
class Recovery:
    """Brings the cluster back to where a drain can be believed."""

    fleet: Fleet
    journal: Journal
    queue: str
    deadline: float
    may_restart: bool = True
    """Whether nodes that do not come back are restarted; those of others are not, unless they allow it."""

    async def wait(self) -> bool:
        """Wait for the cluster; restart what does not come back; record it all. Return whether it recovered."""
        began = time.monotonic()
        troubles, troubled = await self._poll(self.deadline)
        restarted: set[str] = set()
        if troubles and not self.may_restart:
            logger.info(
                "nothing is restarted: the cluster is not ours, and its allowed_faults has no restart"
            )
        for _ in range(ROUNDS if self.may_restart else 0):
            groups = to_restart(troubles, self.fleet.nodes, restarted)
            for group in groups:
                for node in group:
                    reason = troubles[node].text if node in troubles else "is on the wrong side"
                    logger.info(
                        f"{node} did not come back by itself in {self.deadline:g} s: {reason}; restarting it"
                    )
                await asyncio.to_thread(self._restart, group)
                restarted.update(group)
            if not groups:
                break
            troubles, later = await self._poll(min(SETTLE_S * self.fleet.patience, self.deadline))
            troubled = later or troubled
        seconds = round(time.monotonic() - began, 1)
        left = {node: trouble.text for node, trouble in troubles.items()}
        data = {
            "seconds": seconds,
            "trouble-seconds": round(troubled - began, 1) if troubled else None,
            "deadline": self.deadline,
            "restarted": sorted(restarted),
            "troubles": left,
        }
        self.journal.append("info", "recover", process=NEMESIS, data=data)
        logger.info(
            f"recovered in {seconds} s" if not troubles else f"NOT recovered: {_text(troubles)}"
        )
        return not troubles

    async def _poll(self, deadline: float) -> tuple[dict[str, NodeProblem], float]:
        """Return what is wrong with which node at the deadline, empty as soon as nothing is, and since when.

        That is when the last look began that found trouble, on the monotonic clock; 0 when none did.
        """
        until = time.monotonic() + deadline
        told, troubled = "", 0.0
        while True:
            looked = time.monotonic()
            troubles = await asyncio.to_thread(self._troubles)
            troubled = looked if troubles else troubled
            if not troubles or time.monotonic() > until:
                return troubles, troubled
            if _text(troubles) != told:
                told = _text(troubles)
                logger.info(f"recovering: {told}")
            await asyncio.sleep(POLL_S)

    def _troubles(self) -> dict[str, NodeProblem]:
        # rabbitmqctl is slow: ask what is cheap first, and ask it nothing while the cheap answers are bad.
        closed = {
            node: NodeProblem("AMQP is not open")
            for node in self.fleet.nodes
            if not self._listens(node)
        }
        if closed:
            return closed
        views = self.fleet.each_or_error(lambda node: broker.view(self.fleet, node))
        found = {node: trouble for node, view in views.items() if (trouble := self._of(node, view))}
        return found or self._queue_trouble()

    def _of(self, node: str, view: broker.View | Exception) -> NodeProblem | None:
        if isinstance(view, Exception):
            return NodeProblem(view.message if isinstance(view, JepsenvmError) else str(view))
        troubles = view.troubles(list(self.fleet.nodes))
        return (
            NodeProblem(", ".join(troubles), view.side(node), bool(view.partitions.get(node)))
            if troubles
            else None
        )

    def _queue_trouble(self) -> dict[str, NodeProblem]:
        # Every node serves here: whatever is wrong with the queue, restarting one could only make it worse.
        everyone, first = frozenset(self.fleet.nodes), next(iter(self.fleet.nodes))
        try:
            queue = broker.queues(self.fleet, first).get(self.queue)
        except JepsenvmError as problem:
            return {first: NodeProblem(problem.message, everyone)}
        # A queue that is gone altogether has nothing to wait for: the drain will say so.
        if queue and (queue.leader is None or queue.state not in LIVING):
            text = f"the queue is {queue.state}, its leader is {queue.leader}"
            return {queue.leader or first: NodeProblem(text, everyone)}
        return {}

    def _listens(self, node: str) -> bool:
        known = self.fleet.nodes[node]
        try:
            socket.create_connection(
                (known.amqp_host, known.amqp_port), timeout=2 * self.fleet.patience
            ).close()
        except OSError:
            return False
        return True

    def _restart(self, nodes: Sequence[str]) -> None:
        """Restart these nodes, and wait until they serve again."""
        # All down before any comes up: only then does the trusted side forget that it was partitioned from them.
        for act in (broker.stop, broker.start):
            for node, problem in self.fleet.each_or_error(partial(act, self.fleet), nodes).items():
                if isinstance(problem, Exception):
                    logger.info(f"{node} could not be restarted: {problem}")
        until = time.monotonic() + self.deadline
        while not all(map(self._listens, nodes)) and time.monotonic() < until:
            time.sleep(POLL_S)


def to_restart(
    troubles: Mapping[str, NodeProblem], nodes: Iterable[str], restarted: Collection[str]
) -> list[list[str]]:
    """Return which nodes to restart: groups one after the other, the nodes of a group together.

    Nodes that do not answer are stuck for certain. Where all answer and a partition lasts, the largest side is trusted
    and the others are restarted, as RabbitMQ's manual on partitions tells an operator to do: they come back with what
    the trusted side has. Where that was done and the trusted side still remembers the partition, the manual restarts
    it too; one by one, for restarting all who hold a queue at once could lose what it holds, and that loss would be
    ours.
    """
    silent = sorted(node for node, trouble in troubles.items() if trouble.side is None)
    if silent:
        return [silent]
    everyone = frozenset(nodes)
    split = [
        trouble.side for trouble in troubles.values() if trouble.side and trouble.side != everyone
    ]
    trusted = max(split, key=lambda side: (len(side), sorted(side)), default=everyone)
    wrong = sorted(everyone - trusted - set(restarted))
    if wrong:
        return [wrong]
    return [[node] for node, trouble in sorted(troubles.items()) if trouble.remembers]


def _text(troubles: Mapping[str, NodeProblem]) -> str:
    return "; ".join(f"{node} {trouble.text}" for node, trouble in sorted(troubles.items()))
