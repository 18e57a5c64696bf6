"""A short run of a workload through the proxy: its load, its drain, and its verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.experiment.judge import judge
from jepsenvm.experiment.load import Load, OwnLoad
from jepsenvm.experiment.load_processes import LoadProcesses, assignments_of
from jepsenvm.history.journal import Journal
from jepsenvm.history.load_segments import about_load_segments, new_load_segments
from jepsenvm.history.nemesis_records import RECOVER, SCHEDULE
from jepsenvm.history.op import NEMESIS
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.reading import resolve
from jepsenvm.rabbitmq.connections import session
from jepsenvm.rabbitmq.topology_listing import Binding
from jepsenvm.workloads.bodies import bodies_of
from jepsenvm.workloads.context import (
    Context,
    GetQueueStatus,
    ListBindings,
    ListQueues,
    QueueStatus,
)
from jepsenvm.workloads.registry import WORKLOADS
from tests.proxy.broker import Broker
from tests.proxy.misdeeds import INVENTED, Kind, Misdeed
from tests.proxy.proxy import Proxy

NODES: Final = ("n1", "n2", "n3")
FLUSH_EVERY_S: Final = 0.1


@dataclass(frozen=True)
class Run:
    """A finished run: what the proxy did, and what the checkers say."""

    misdeed: Misdeed | None
    verdict: Verdict
    reasons: tuple[str, ...]
    main: Result
    """The result of the workload's main checker."""


def plan_of(keys: Mapping[str, Any]) -> Plan:
    """Return a plan without faults. Its deadlines are for a slow machine."""
    defaults = {"nemesis": "none", "time-limit": 300, "drain-deadline": 200, "op-timeout": 60}
    return resolve({**defaults, **keys}, "test", WORKLOADS, NEMESES)


async def run_through_proxy(
    broker: Broker,
    folder: Path,
    plan: Plan,
    kind: Kind | None,
    midway: Callable[[LoadProcesses], None] | None = None,
) -> Run:
    """Load the broker through a proxy that misdeals once, read everything back, and check the run.

    The proxy chooses the message by the plan's seed. ``midway`` is called once in the load, with
    its processes.
    """
    random = Random(f"{plan.seed} {kind}")
    turn = round((plan.messages or 0) * random.uniform(0.1, 0.7))
    if plan.workload == "lock" and kind != "drop":
        turn = 1  # the lock is one message, which is published once
    invented = bodies_of(plan, len(NODES)).of(INVENTED)
    publishers = len(NODES) * plan.publishers
    proxy = Proxy(broker.port, kind, turn, publishers, random, invented=invented)
    folder.mkdir(parents=True)
    (folder / "plan.yml").write_text(plan.to_yaml(), encoding="utf-8")
    began, history = time.monotonic_ns(), folder / "history.arrow"
    segments = new_load_segments(plan.workers) if plan.workers > 1 else []
    async with proxy.listening():
        context = Context(
            plan=plan,
            addresses=[broker.address(node, proxy.port) for node in NODES],
            queue=f"proxied.{plan.queue_type}.{folder.name}",
            journal=Journal(
                history,
                lambda: time.monotonic_ns() - began,
                about=about_load_segments(segments),
            ),
            stop=asyncio.Event(),
            list_queues=_list_queues(broker),
            list_bindings=_list_bindings(broker),
        )
        load: Load = OwnLoad(WORKLOADS[plan.workload], context)
        if segments:
            assignments = assignments_of(plan, 1.0, context, history, segments, began)
            load = LoadProcesses(context, history, assignments, patience=1.0)
        direct = broker.address("direct")
        async with session(direct, direct.connect_timeout) as behind_proxy:
            proxy.publish = lambda body: behind_proxy.publish(context.queue, body)
            flushing = asyncio.ensure_future(_flush(context))
            try:
                await _load_and_drain(broker, context, load, midway)
            finally:
                await load.end()
                flushing.cancel()
            for queue in {*context.routes.queues, f"{context.queue}.dead"}:
                await behind_proxy.delete(queue)
            for exchange in context.routes.exchanges:
                await behind_proxy.delete_exchange(exchange)
    context.journal.close()
    analysis = judge(folder)
    main = analysis.results.checkers[analysis.presentation.main_checker]
    return Run(proxy.misdeed, analysis.results.verdict, tuple(analysis.results.reasons), main)


async def _load_and_drain(
    broker: Broker,
    context: Context,
    load: Load,
    midway: Callable[[LoadProcesses], None] | None,
) -> None:
    workload = WORKLOADS[context.plan.workload]
    await workload.setup(context, [])
    context.journal.append("info", SCHEDULE, process=NEMESIS, data=[])
    deadline = asyncio.get_running_loop().time() + context.plan.time_limit
    await load.prepare()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(load.run())
        while _completed(context) < (context.plan.messages or 0) and not running.done():
            if asyncio.get_running_loop().time() > deadline:
                break
            if midway is not None and isinstance(load, LoadProcesses) and _completed(context):
                midway(load)
                midway = None
            await asyncio.sleep(0.02)
        context.stop.set()
    context.journal.append("info", RECOVER, process=NEMESIS, data=_RECOVERED)
    await workload.drain(context, _queue_status(broker, listed=context.plan.workload in LISTED))
    await load.settle()


def _completed(context: Context) -> int:
    return sum(counts.ok for counts in context.op_counts.values())


LISTED: Final = ("dead-letter", "lock")
"""Workloads with queues that can keep messages which are not ready."""

_RECOVERED: Final[Mapping[str, Any]] = {
    "seconds": 0.1,
    "trouble-seconds": None,
    "deadline": 120,
    "restarted": [],
    "troubles": {},
}


def _queue_status(broker: Broker, *, listed: bool) -> GetQueueStatus:
    """Return the function that asks the broker itself, not the proxy, about a queue."""

    async def over_amqp(queue: str) -> QueueStatus:
        direct = broker.address("direct")
        async with session(direct, direct.connect_timeout) as opened:
            ready = await opened.ready(queue)
        return QueueStatus(ready, f"ready {ready}")

    async def by_list(queue: str) -> QueueStatus:
        for entry in await asyncio.to_thread(broker.queues):
            if entry["name"] == queue:
                counts = (entry["messages"], entry["messages_unacknowledged"])
                return QueueStatus(counts[0], f"messages {counts[0]}", counts[1])
        return QueueStatus(None, "no such queue")

    return by_list if listed else over_amqp


def _list_queues(broker: Broker) -> ListQueues:
    """Return the function that asks the broker itself, not the proxy, about existing queues."""

    async def list_queues(names: Sequence[str]) -> Mapping[str, QueueStatus]:
        direct = broker.address("direct")
        async with session(direct, direct.connect_timeout) as opened:
            ready = {name: await opened.ready(name) for name in names}
        return {name: QueueStatus(number, f"ready {number}") for name, number in ready.items()}

    return list_queues


def _list_bindings(broker: Broker) -> ListBindings:
    async def list_bindings(_: str) -> frozenset[Binding]:
        rows = await asyncio.to_thread(broker.bindings)
        return frozenset(
            Binding(row["source_name"], row["destination_name"], row["routing_key"]) for row in rows
        )

    return list_bindings


async def _flush(context: Context) -> None:
    while True:
        await asyncio.sleep(FLUSH_EVERY_S)
        context.journal.flush()
