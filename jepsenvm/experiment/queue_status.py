"""What the nodes report after the load: the status of a queue, and what exists."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq.deletion_log import deleted_by_clients
from jepsenvm.rabbitmq.queue_listing import Queue, queues
from jepsenvm.rabbitmq.topology_listing import Binding, Listing, listing
from jepsenvm.workloads.context import ListBindings, ListNode, ListQueues, QueueStatus


async def queue_status(fleet: Fleet, name: str) -> QueueStatus:
    """Return what is left in a queue. It is empty, or gone, only if every node says so.

    A node that does not answer counts as one message left, so that a drain never ends without
    proof.
    """
    return (await _statuses(fleet, [name]))[name]


def queue_listing(fleet: Fleet) -> ListQueues:
    """Return a function that asks every node once, and returns what is left in some queues."""

    async def list_queues(names: Sequence[str]) -> Mapping[str, QueueStatus]:
        return await _statuses(fleet, names)

    return list_queues


async def _statuses(fleet: Fleet, names: Sequence[str]) -> dict[str, QueueStatus]:
    answers = await asyncio.to_thread(fleet.each_or_error, lambda node: queues(fleet, node))
    lists = []
    for node, answer in answers.items():
        if isinstance(answer, Exception):
            return dict.fromkeys(names, QueueStatus(1, f"nothing on {node}: {answer}"))
        lists.append(answer)
    gone = [name for name in names if not any(name in listed for listed in lists)]
    deleted = await asyncio.to_thread(deleted_by_clients, fleet, gone) if gone else set()
    statuses = {name: _status([listed.get(name) for listed in lists]) for name in names}
    return statuses | {name: _deleted(statuses[name]) for name in deleted}


def _deleted(status: QueueStatus) -> QueueStatus:
    return replace(status, text=f"{status.text}, and a log has its deletion", deleted=True)


def _status(listed: Sequence[Queue | None]) -> QueueStatus:
    """Return what is left in a queue, from what each node lists about it."""
    existing = [queue for queue in listed if queue is not None]
    if not existing:
        return QueueStatus(None, "that the queue is gone from every node")
    empty = len(existing) == len(listed) and all(queue.empty for queue in existing)
    unacknowledged = max(queue.unacknowledged for queue in existing)
    return QueueStatus(0 if empty else 1, _text(existing), max(0, unacknowledged))


def node_listing(fleet: Fleet) -> ListNode:
    """Return a function that asks a node for its queues, exchanges and bindings."""

    async def list_node(node: str) -> Listing:
        return await asyncio.to_thread(listing, fleet, node)

    return list_node


def binding_listing(fleet: Fleet) -> ListBindings:
    """Return a function that asks a node for its bindings."""

    async def list_bindings(node: str) -> frozenset[Binding]:
        return (await asyncio.to_thread(listing, fleet, node)).bindings

    return list_bindings


def _text(queues: Sequence[Queue]) -> str:
    if silent := next((queue for queue in queues if not queue.counted), None):
        return f"no counts of the queue, which is {silent.state}"
    ready = max(queue.ready for queue in queues)
    unacknowledged = max(queue.unacknowledged for queue in queues)
    text = f"ready {ready}, unacknowledged {unacknowledged}"
    # With at-least-once dead lettering a quorum queue keeps messages until their target has them.
    kept = max(queue.messages - queue.ready - queue.unacknowledged for queue in queues)
    return f"{text}, kept {kept}" if kept > 0 else text
