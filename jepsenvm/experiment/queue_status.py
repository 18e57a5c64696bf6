"""What the nodes report after the load: the status of a queue, and what exists."""

from __future__ import annotations

import asyncio

from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq import ctl as broker
from jepsenvm.workloads.context import ListNode, QueueStatus


async def queue_status(fleet: Fleet, name: str) -> QueueStatus:
    """Return what is left in a queue. It is empty, or gone, only if every node says so.

    A node that does not answer counts as one message left, so that a drain never ends without
    proof.
    """
    answers = await asyncio.to_thread(
        fleet.each_or_error, lambda node: broker.queues(fleet, node).get(name)
    )
    for node, answer in answers.items():
        if isinstance(answer, Exception):
            return QueueStatus(1, f"nothing on {node}: {answer}")
    queues = [answer for answer in answers.values() if isinstance(answer, broker.Queue)]
    if not queues:
        return QueueStatus(None, "that the queue is gone from every node")
    empty = len(queues) == len(answers) and all(queue.empty for queue in queues)
    unacknowledged = max(queue.unacknowledged for queue in queues)
    return QueueStatus(0 if empty else 1, _text(queues), max(0, unacknowledged))


def node_listing(fleet: Fleet) -> ListNode:
    """Return a function that asks a node for its queues, exchanges and bindings."""

    async def list_node(node: str) -> broker.Listing:
        return await asyncio.to_thread(broker.listing, fleet, node)

    return list_node


def _text(queues: list[broker.Queue]) -> str:
    ready = max(queue.ready for queue in queues)
    unacknowledged = max(queue.unacknowledged for queue in queues)
    text = f"ready {ready}, unacknowledged {unacknowledged}"
    # With at-least-once dead lettering a quorum queue keeps messages until their target has them.
    kept = max(queue.messages - queue.ready - queue.unacknowledged for queue in queues)
    return f"{text}, kept {kept}" if kept > 0 else text
