"""When which fault begins and ends; every schedule ends healed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from jepsenvm.plan.config import Plan
from jepsenvm.plan.fault import Fault
from jepsenvm.plan.nemesis import NEMESES, next_fault


@dataclass(frozen=True)
class Step:
    """One fault with its beginning and end, in seconds since the load began."""

    at: float
    until: float
    fault: Fault


def schedule(plan: Plan, nodes: Sequence[str]) -> tuple[Step, ...]:
    """Return the steps of a run: quiet, fault, quiet, fault ... as many whole faults as fit into the time limit.

    Raises Refused where there are too few nodes for the nemesis.
    """
    random = Random(plan.seed)
    return tuple(Step(at, at + plan.fault_duration, next_fault(plan.nemesis, nodes, random)) for at in beginnings(plan))


def beginnings(plan: Plan) -> Iterator[float]:
    """Yield when the faults of a plan begin, in seconds since the load began; none for the nemesis ``none``."""
    if NEMESES[plan.nemesis] is None:
        return
    cycle = plan.quiet_before + plan.fault_duration
    at = plan.quiet_before
    while at + plan.fault_duration <= plan.time_limit:
        yield at
        at += cycle
