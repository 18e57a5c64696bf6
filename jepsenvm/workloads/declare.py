"""The queues of a run: those of earlier runs deleted, this one's declared as its plan says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jepsenvm.plan.config import Plan, QueueType
from jepsenvm.rabbitmq.connections import session
from jepsenvm.workloads.workload import Context

QUEUE_ARGUMENTS: Final[Mapping[QueueType, Mapping[str, str]]] = {
    "quorum": {"x-queue-type": "quorum"},
    # What is mirrored is a classic queue whose name the policy of playbooks/roles/rabbitmq matches.
    "mirrored": {"x-queue-type": "classic"},
    "classic": {"x-queue-type": "classic"},
    "stream": {"x-queue-type": "stream"},
}

SETUP_S: Final = 60


def arguments(plan: Plan) -> dict[str, Any]:
    """Return the arguments with which a plan's queue is declared."""
    found: dict[str, Any] = dict(QUEUE_ARGUMENTS[plan.queue_type])
    if plan.quorum_group_size is not None:
        found["x-quorum-initial-group-size"] = plan.quorum_group_size
    if plan.delivery_limit is not None:
        found["x-delivery-limit"] = plan.delivery_limit
    return found


async def declare(
    context: Context, stale: Sequence[str], queues: Mapping[str, Mapping[str, Any]]
) -> None:
    """Delete the queues of earlier runs and declare this run's, with their arguments, through the first node."""
    first = context.addresses[0]
    async with (
        session(first, context.plan.op_timeout) as opened,
        asyncio.timeout(SETUP_S * first.patience),
    ):
        for name in stale:
            await opened.delete(name)
        for name, wanted in queues.items():
            await opened.declare(name, wanted)


async def setup(context: Context, stale: Sequence[str]) -> None:
    """Delete the queues of earlier runs and declare this run's as its plan says."""
    await declare(context, stale, {context.queue: arguments(context.plan)})
