"""order: what one publisher sent one after the other comes in that order, to one consumer at a time if so asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from jepsenvm.checkers.order import order
from jepsenvm.checkers.verdict import Checker
from jepsenvm.plan.config import Plan
from jepsenvm.workloads.declare import arguments, declare
from jepsenvm.workloads.drain import drain
from jepsenvm.workloads.queue import load
from jepsenvm.workloads.workload import Context, Workload


async def setup(context: Context, stale: Sequence[str]) -> None:
    """Declare the queue, with a single active consumer if the plan has it so."""
    single = {"x-single-active-consumer": True} if context.plan.single_active else {}
    await declare(context, stale, {context.queue: {**arguments(context.plan), **single}})


def checkers(plan: Plan) -> Mapping[str, Checker]:
    """Return what judges this workload's histories."""
    judged = partial(order, single_active=plan.single_active, prefetch=plan.prefetch)
    return {"order": judged}


WORKLOAD: Final = Workload(setup, load, drain, checkers)
