"""queue: unique integers in, the same integers out."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, Final

from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Checker
from jepsenvm.plan.config import Plan
from jepsenvm.workloads.connections import numbered
from jepsenvm.workloads.consumers import consumers
from jepsenvm.workloads.declare import setup
from jepsenvm.workloads.drain import drain as drain_queue
from jepsenvm.workloads.publishers import publishers, slots_wanted
from jepsenvm.workloads.stream import drain_once as drain_stream
from jepsenvm.workloads.workload import AskBroker, Context, Workload


def load(context: Context) -> list[Coroutine[Any, Any, None]]:
    """Return the publishers, and the consumers if the plan has any."""
    publishing = slots_wanted(context)
    slots = numbered(publishing + context.plan.consumers)
    return [*publishers(context, slots[:publishing]), *consumers(context, slots[publishing:])]


async def drain(context: Context, ask_broker: AskBroker) -> None:
    """Read back everything: from a queue until it is empty, from a stream up to its end."""
    read_back = drain_stream if context.plan.queue_type == "stream" else drain_queue
    await read_back(context, ask_broker)


def checkers(plan: Plan) -> Mapping[str, Checker]:  # noqa: ARG001 - other workloads' checkers depend on the plan
    """Return what judges this workload's histories."""
    return {"total-queue": partial(total_queue, drain_required=True)}


WORKLOAD: Final = Workload(setup, load, drain, checkers)
