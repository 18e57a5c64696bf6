"""stream: every reader reads every confirmed record, at the same offset and in order.

Each node's reader reads the whole stream after the load, over AMQP 0-9-1 (``x-stream-offset``).
The drain publishes one more record as the end, so that each reader can tell that it has read all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from itertools import count, cycle, repeat
from typing import Any, Final

from jepsenvm.checkers.exercise import Exercise
from jepsenvm.checkers.stream import KINDS, stream
from jepsenvm.checkers.total_queue import END, NOTHING_ACKNOWLEDGED
from jepsenvm.checkers.verdict import Checker
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.amqp import Address, Delivery, Session, SessionLost, failure_text
from jepsenvm.rabbitmq.connections import session
from jepsenvm.workloads.context import Context, GetQueueStatus
from jepsenvm.workloads.drain import DRAIN_PROCESS
from jepsenvm.workloads.publishers import publish_one, publishers_only
from jepsenvm.workloads.reader import record_delivery
from jepsenvm.workloads.workload import Figures, Workload

logger = logging.getLogger(__name__)

PREFETCH: Final = 1000
RETRY_DELAY_S: Final = 1.0


class StreamWorkload(Workload[WorkloadOptions]):
    """Publishes to a stream, then reads the whole stream through every node."""

    name = "stream"
    about = "a stream is written, then read completely through every node"
    invalid_when = (
        "a confirmed record is missing, has different offsets for different readers, or is out "
        "of order"
    )
    options = WorkloadOptions
    defaults: Mapping[str, object] = {"queue-type": "stream"}
    queue_types = ("stream",)
    load_processes = True
    main_checker = "stream"
    exercise = Exercise(
        ("enqueue", "read", "end"),
        {
            "load-acknowledged-count": NOTHING_ACKNOWLEDGED,
            "read-count": "no record was read",
        },
    )
    plots: Mapping[str, str] = {"enqueue": "confirmed", "read": "read"}

    def checkers(self, plan: Plan) -> Mapping[str, Checker]:  # noqa: ARG002 - the same for all plans
        """Return the stream checker."""
        return {self.main_checker: stream}

    def headline(self, figures: Figures) -> str:
        """Return the number of records, and of each anomaly."""
        counts = ", ".join(
            f"{kind} {figures[f'{kind}-count']:,}" for kind in KINDS if kind != "undecided"
        )
        return (
            f"acknowledged {figures['acknowledged-count']:,}, {figures['record-count']:,} records, "
            f"{counts}"
        )

    def load(self, context: Context) -> list[Coroutine[Any, Any, None]]:
        """Return the publishers. The stream is read after the load."""
        return publishers_only(context)

    async def drain(self, context: Context, queue_status: GetQueueStatus) -> None:  # noqa: ARG002 - a stream is never empty
        """Publish the last record, and read the whole stream through every node."""
        await _publish_end(context)
        readers = [
            _read(context, address, DRAIN_PROCESS + index)
            for index, address in enumerate(context.addresses)
        ]
        records = await asyncio.gather(*readers)
        logger.info(f"drain: {', '.join(f'{number:,}' for number in records)} records read")


async def drain_once(context: Context) -> None:
    """Publish the last record, and read the stream once, with its records as dequeues.

    For workload queue on a stream. When a node's connection is lost, reading goes on through the
    next node. Records one op ``drain``, which is ok only if the last record was read.
    """
    journal, deadline = context.journal, context.plan.drain_deadline
    journal.append("invoke", "drain", process=DRAIN_PROCESS)
    await _publish_end(context)
    try:
        async with asyncio.timeout(deadline):
            received = await _read_through_any_node(context)
    except TimeoutError:
        error = f"the end was not read within {deadline:g} s"
        journal.append("info", "drain", process=DRAIN_PROCESS, error=error)
        logger.info(f"drain: {error}")
        return
    journal.append("ok", "drain", process=DRAIN_PROCESS, data={"received": received})
    logger.info(f"drain: {received:,} records read, to the end of the stream")


async def _read_through_any_node(context: Context) -> int:
    """Read the stream to its end, through one node after another; return the number of records."""
    received = 0
    nodes = zip(count(DRAIN_PROCESS + 1), cycle(context.addresses), strict=False)
    async for process, opened, delivery in _records_resumed(context, nodes):
        record_delivery(context, opened, process, delivery)
        received += 1
    return received


async def _records_resumed(
    context: Context, nodes: Iterable[tuple[int, Address]]
) -> AsyncIterator[tuple[int, Session, Delivery]]:
    """Yield the records of a stream to the last record, resumed after each lost session.

    ``nodes`` has the process number and the node of each session. A node may have no running
    replica for some time after a fault. It then refuses readers, so they retry.
    """
    offset = 0
    for process, address in nodes:
        try:
            async with session(address, address.connect_timeout) as opened:
                async for delivery in _records(context, opened, offset):
                    yield process, opened, delivery
                    offset = offset_of(delivery) + 1
            break
        except (SessionLost, TimeoutError) as problem:
            context.log_once(f"drain: not through {address.node}: {failure_text(problem)}")
            await asyncio.sleep(RETRY_DELAY_S)


async def _publish_end(context: Context) -> None:
    """Publish the last record through one node after another until it is confirmed."""
    first_process = DRAIN_PROCESS + len(context.addresses) + 1  # after the readers' numbers
    try:
        async with asyncio.timeout(context.plan.drain_deadline):
            for process, address in zip(
                count(first_process), cycle(context.addresses), strict=False
            ):
                if await _end_confirmed(context, address, process):
                    break
                await asyncio.sleep(RETRY_DELAY_S)
    except TimeoutError:
        logger.info("drain: the last record was not confirmed in time")


async def _end_confirmed(context: Context, address: Address, process: int) -> bool:
    try:
        async with session(address, address.connect_timeout) as opened:
            return await publish_one(context, opened, process, END) == "ok"
    except (SessionLost, TimeoutError) as problem:
        context.log_once(f"drain: no last record through {address.node}: {failure_text(problem)}")
        return False


async def _read(context: Context, address: Address, process: int) -> int:
    """Read the whole stream through one node, as one reader; return the number of records.

    Each record is an ok ``read`` with its offset. One op ``end`` around them is ok only if the last
    record was read.
    """
    journal, node, deadline = context.journal, address.node, context.plan.drain_deadline
    journal.append("invoke", "end", process=process, node=node)
    records, offset = 0, -1
    try:
        async with asyncio.timeout(deadline):
            async for _, _, delivery in _records_resumed(context, repeat((process, address))):
                offset = offset_of(delivery)
                _record_read(context, delivery, process, node)
                records += 1
        journal.append("ok", "end", process=process, node=node, offset=offset)
    except TimeoutError:
        error = f"the end was not read within {deadline:g} s"
        journal.append("info", "end", process=process, node=node, error=error)
        logger.info(f"drain: {node}: {error}")
    return records


def _record_read(context: Context, delivery: Delivery, process: int, node: str) -> None:
    value = context.bodies.value_in(delivery.body)
    data = context.bodies.problem_of(delivery.body) if value < 0 else {}
    context.journal.append(
        "ok",
        "read",
        value,
        process=process,
        node=node,
        offset=offset_of(delivery),
        data=data or None,
    )


async def _records(context: Context, opened: Session, start: int) -> AsyncIterator[Delivery]:
    """Yield the records of a stream from offset ``start`` to the last record."""
    deliveries: asyncio.Queue[Delivery] = asyncio.Queue()
    await opened.consume(
        context.queue, PREFETCH, deliveries.put_nowait, {"x-stream-offset": start or "first"}
    )
    end, body = context.bodies.of(END), b""
    while body != end:
        delivery = await opened.unless_lost(deliveries.get())
        # For an offset inside a chunk, the broker sends the whole chunk.
        if offset_of(delivery) >= start:
            body = delivery.body
            yield delivery
        opened.settle(delivery.tag, returned=False)


def offset_of(delivery: Delivery) -> int:
    """Return the record's offset in its stream."""
    return int(delivery.headers["x-stream-offset"])


WORKLOAD: Final = StreamWorkload()
