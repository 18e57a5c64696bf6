"""Declaring the queues, exchanges and bindings of a run with several queues, through all nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from jepsenvm.rabbitmq.amqp import Address, Session
from jepsenvm.rabbitmq.connections import session
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.declare import DECLARE_TIMEOUT_S, SECONDS_EACH, queue_arguments

T = TypeVar("T")


async def declare_many(context: Context, old_queues: Sequence[str]) -> None:
    """Delete the queues of earlier runs, and declare this run's queues, exchanges and bindings.

    Each node declares its share of the queues, one after the other on one connection. So classic
    queues are spread over the nodes, as are the leaders of other queues.
    """
    routes, arguments = context.routes, queue_arguments(context.plan)

    async def declare_exchange(opened: Session, name: str) -> None:
        await opened.declare_exchange(name, context.plan.exchange)

    await _through_all_nodes(context, old_queues, lambda opened, name: opened.delete(name))
    await _through_all_nodes(
        context, routes.queues, lambda opened, name: opened.declare(name, arguments)
    )
    await _through_all_nodes(context, routes.exchanges, declare_exchange)
    await _through_all_nodes(
        context,
        routes.bindings,
        lambda opened, new: opened.bind(new.queue, new.exchange, new.key, new.arguments),
    )


async def _through_all_nodes(
    context: Context, things: Sequence[T], act: Callable[[Session, T], Awaitable[None]]
) -> None:
    """Do something with each thing. Each node has a session, and does its share on it in order.

    Raise the first error after all nodes have ended.
    """

    async def act_through(address: Address, share: Sequence[T]) -> None:
        timeout = (DECLARE_TIMEOUT_S + SECONDS_EACH * len(things)) * address.patience
        if share:
            async with (
                session(address, context.plan.op_timeout) as opened,
                asyncio.timeout(timeout),
            ):
                for thing in share:
                    await act(opened, thing)

    nodes = len(context.addresses)
    # Nothing may go on declaring while the set-up is tried again.
    ended = await asyncio.gather(
        *(
            act_through(address, things[first::nodes])
            for first, address in enumerate(context.addresses)
        ),
        return_exceptions=True,
    )
    for result in ended:
        if isinstance(result, BaseException):
            raise result
