"""dead-letter: messages expire in one quorum queue, and every acknowledged one must arrive in another."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final

from jepsenvm.checkers.dead_letter import dead_letter
from jepsenvm.checkers.verdict import Checker
from jepsenvm.plan.config import Plan
from jepsenvm.workloads.connections import numbered
from jepsenvm.workloads.declare import arguments, declare
from jepsenvm.workloads.drain import drain_queues
from jepsenvm.workloads.publishers import publishers, slots_wanted
from jepsenvm.workloads.workload import AskBroker, Context, Workload

REFUSING: Final = {"x-queue-type": "classic", "x-max-length": 100, "x-overflow": "reject-publish"}
"""A classic queue refuses whatever comes; a quorum queue only what a channel of a client brings (seen on 3.10.8)."""


def target(context: Context) -> str:
    """Return the name of the dead-letter queue."""
    return f"{context.queue}.dead"


async def setup(context: Context, stale: Sequence[str]) -> None:
    """Declare the queue in which messages expire, and the one in which they must arrive."""
    plan = context.plan
    expiring = {
        "x-message-ttl": round(plan.message_ttl * 1000),
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": target(context),
        "x-dead-letter-strategy": plan.dead_letter_strategy,
        # The strategy at-least-once is given only with it.
        "x-overflow": "reject-publish",
    }
    arriving = REFUSING if plan.dead_letter_target == "refusing" else arguments(plan)
    await declare(
        context, stale, {target(context): arriving, context.queue: {**arguments(plan), **expiring}}
    )


def load(context: Context) -> list[Coroutine[Any, Any, None]]:
    """Return the publishers; nobody consumes, so everything expires."""
    return publishers(context, numbered(slots_wanted(context)))


async def drain(context: Context, ask_broker: AskBroker) -> None:
    """Read the dead-letter queue until both are empty."""
    await drain_queues(context, ask_broker, target(context), [context.queue, target(context)])


def checkers(plan: Plan) -> Mapping[str, Checker]:
    """Return what judges this workload's histories."""
    return {"dead-letter": partial(dead_letter, strategy=plan.dead_letter_strategy)}


WORKLOAD: Final = Workload(setup, load, drain, checkers)
