"""Declaring the queues of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jepsenvm.errors import RunError
from jepsenvm.plan.consumer_keys import returns_messages
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.queue_types import queue_type_spec
from jepsenvm.rabbitmq.amqp import Address, SessionLost, failure_text
from jepsenvm.rabbitmq.connections import session
from jepsenvm.workloads.context import Context

DECLARE_TIMEOUT_S: Final = 60
SECONDS_EACH: Final = 0.2
"""Seconds that each further queue, exchange or binding adds. In the lab most take 0.02 s."""

NO_DELIVERY_LIMIT: Final = 2**31 - 1
"""``x-delivery-limit`` of a quorum queue that must not drop what it takes back. Since RabbitMQ 4.0
the default is 20. This value works in every release. With -1, releases before 4.0 drop a message
that they take back once."""


def queue_arguments(plan: Plan) -> dict[str, Any]:
    """Return the arguments with which the run's queue is declared."""
    arguments: dict[str, Any] = dict(queue_type_spec(plan.queue_type).arguments)
    if plan.quorum_group_size is not None:
        arguments["x-quorum-initial-group-size"] = plan.quorum_group_size
    if (limit := _delivery_limit(plan)) is not None:
        arguments["x-delivery-limit"] = limit
    if plan.consumer_timeout is not None:
        arguments["x-consumer-timeout"] = round(plan.consumer_timeout * 1000)
    return arguments


def _delivery_limit(plan: Plan) -> int | None:
    """Return the ``x-delivery-limit`` of the run's queue; None for the broker's default."""
    limit = plan.delivery_limit
    if limit is None:
        drops_nothing = plan.queue_type == "quorum" and returns_messages(plan)
        return NO_DELIVERY_LIMIT if drops_nothing else None
    return NO_DELIVERY_LIMIT if limit < 0 else limit


async def declare(
    context: Context, old_queues: Sequence[str], queues: Mapping[str, Mapping[str, Any]]
) -> None:
    """Delete the queues of earlier runs and declare this run's, through the first node.

    ``queues`` maps names to arguments. Queues are declared in its order. Raises RunError if a node
    has no running replica of a new stream; the next attempt declares the stream again.
    """
    first = context.addresses[0]
    async with (
        session(first, context.plan.op_timeout) as opened,
        asyncio.timeout((DECLARE_TIMEOUT_S + SECONDS_EACH * len(old_queues)) * first.patience),
    ):
        for name in old_queues:
            await opened.delete(name)
        for name, arguments in queues.items():
            await opened.declare(name, arguments)
    streams = [name for name, arguments in queues.items() if _is_stream(arguments)]
    for name in streams:
        await asyncio.gather(*(_require_replica(name, node) for node in context.addresses))


async def delete_exchanges(context: Context, names: Sequence[str]) -> None:
    """Delete exchanges of earlier runs, through the first node."""
    if not names:
        return
    first = context.addresses[0]
    async with (
        session(first, context.plan.op_timeout) as opened,
        asyncio.timeout((DECLARE_TIMEOUT_S + SECONDS_EACH * len(names)) * first.patience),
    ):
        for name in names:
            await opened.delete_exchange(name)


def _is_stream(arguments: Mapping[str, Any]) -> bool:
    return arguments.get("x-queue-type") == "stream"


async def _require_replica(stream: str, address: Address) -> None:
    """Raise RunError unless a node serves readers of a stream.

    The first stream of a cluster starts RabbitMQ's stream coordinator. On 3.10 a node that starts
    it at the same time can miss the stream for good: it refuses readers and confirms nothing.
    """
    try:
        async with (
            session(address, address.connect_timeout) as opened,
            asyncio.timeout(DECLARE_TIMEOUT_S * address.patience),
        ):
            await opened.consume(stream, 1, _ignore, {"x-stream-offset": "next"})
    except (SessionLost, TimeoutError) as problem:
        raise RunError(
            f"no replica of the stream {stream} serves readers: {failure_text(problem)}",
            node=address.node,
        ) from problem


def _ignore(_: object) -> None:
    """Ignore a delivery: a new stream has none."""
