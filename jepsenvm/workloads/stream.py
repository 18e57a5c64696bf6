"""stream: what a stream confirmed is read by every reader, at the same offset, in the order of its publisher.

Readers over AMQP 0-9-1 (``x-stream-offset``) read the whole stream through each node after the load; the last record is
one of the drain's own, so that each reader knows where the end is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from itertools import count, cycle
from typing import Any, Final

from jepsenvm.checkers.stream import stream
from jepsenvm.checkers.verdict import Checker
from jepsenvm.plan.config import Plan
from jepsenvm.workloads.amqp import Address, Delivery, SessionLost
from jepsenvm.workloads.connections import CONNECT_TIMEOUT_S, numbered, session
from jepsenvm.workloads.consumers import NOT_OURS, value_of
from jepsenvm.workloads.declare import setup
from jepsenvm.workloads.drain import DRAINER
from jepsenvm.workloads.publishers import publish_one, publishers, slots_wanted
from jepsenvm.workloads.workload import AskBroker, Context, Workload

END: Final = 1 << 40
"""The value of the record that ends a stream: one that no publisher comes to."""

PREFETCH: Final = 1000
AGAIN_S: Final = 1.0


def load(context: Context) -> list[Coroutine[Any, Any, None]]:
    """Return the publishers; the stream is read when they are done."""
    return publishers(context, numbered(slots_wanted(context)))


async def drain(context: Context, ask_broker: AskBroker) -> None:  # noqa: ARG001 - a stream is never empty
    """End the stream with a record of our own, and read all of it through every node."""
    readers = len(context.addresses)
    try:
        async with asyncio.timeout(context.plan.drain_deadline):
            for process, address in zip(count(DRAINER + readers), cycle(context.addresses), strict=False):
                if await _ended(context, address, process):
                    break
                await asyncio.sleep(AGAIN_S)
    except TimeoutError:
        context.say("drain: the stream took no last record in time")
    reading = [_read(context, address, DRAINER + index) for index, address in enumerate(context.addresses)]
    read = await asyncio.gather(*reading)
    context.say(f"drain: {', '.join(f'{records:,}' for records in read)} records read")


async def _ended(context: Context, address: Address, process: int) -> bool:
    try:
        async with session(address, CONNECT_TIMEOUT_S) as opened:
            return await publish_one(context, opened, process, END) == "ok"
    except (SessionLost, TimeoutError) as problem:
        context.say_once(f"drain: no last record through {address.node}: {problem or 'no answer in time'}")
        return False


async def _read(context: Context, address: Address, process: int) -> int:
    """Read the stream from its beginning to its end through one node, as one reader; return how many records it had."""
    journal, node = context.journal, address.node
    came: asyncio.Queue[Delivery] = asyncio.Queue()
    journal.append("invoke", "end", process=process, node=node)
    records, value = 0, NOT_OURS
    try:
        async with asyncio.timeout(context.plan.drain_deadline), session(address, CONNECT_TIMEOUT_S) as opened:
            await opened.consume(context.queue, PREFETCH, came.put_nowait, {"x-stream-offset": "first"})
            while value != END:
                delivery = await opened.unless_lost(came.get())
                value, offset = value_of(delivery), int(delivery.headers["x-stream-offset"])
                journal.append("ok", "read", value, process=process, node=node, offset=offset)
                opened.settle(delivery.tag, returned=False)
                records += 1
        journal.append("ok", "end", process=process, node=node, offset=offset)
    except (SessionLost, TimeoutError) as problem:
        error = str(problem) or f"the end did not come in {context.plan.drain_deadline:g} s"
        journal.append("info", "end", process=process, node=node, error=error)
        context.say(f"drain: {node}: {error}")
    return records


def checkers(plan: Plan) -> Mapping[str, Checker]:  # noqa: ARG001 - other workloads' checkers depend on the plan
    """Return what judges this workload's histories."""
    return {"stream": stream}


WORKLOAD: Final = Workload(setup, load, drain, checkers)
