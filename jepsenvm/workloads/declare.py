"""Declaring the queues of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jepsenvm.plan.plan import Plan
from jepsenvm.plan.queue_types import queue_type_spec
from jepsenvm.rabbitmq.connections import session
from jepsenvm.workloads.context import Context

DECLARE_TIMEOUT_S: Final = 60


def queue_arguments(plan: Plan) -> dict[str, Any]:
    """Return the arguments with which the run's queue is declared."""
    arguments: dict[str, Any] = dict(queue_type_spec(plan.queue_type).arguments)
    if plan.quorum_group_size is not None:
        arguments["x-quorum-initial-group-size"] = plan.quorum_group_size
    if plan.delivery_limit is not None:
        arguments["x-delivery-limit"] = plan.delivery_limit
    return arguments


async def declare(
    context: Context, old_queues: Sequence[str], queues: Mapping[str, Mapping[str, Any]]
) -> None:
    """Delete the queues of earlier runs and declare this run's, through the first node.

    ``queues`` maps names to arguments. Queues are declared in its order.
    """
    first = context.addresses[0]
    async with (
        session(first, context.plan.op_timeout) as opened,
        asyncio.timeout(DECLARE_TIMEOUT_S * first.patience),
    ):
        for name in old_queues:
            await opened.delete(name)
        for name, arguments in queues.items():
            await opened.declare(name, arguments)
