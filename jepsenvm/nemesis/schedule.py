"""When which fault begins and ends: drawn from the plan's seed, or as the plan's own schedule says.

Every schedule ends healed: no step outlasts the time limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random

from jepsenvm.errors import UsageError
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.specs import FaultRequest, Stage, stages
from jepsenvm.plan.durations import bounds
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.schedule_item import ScheduleItem


@dataclass(frozen=True)
class Step:
    """One fault with its beginning and end, in seconds since the load began."""

    at: float
    until: float
    fault: Fault


def schedule(plan: Plan, nodes: Sequence[str]) -> tuple[Step, ...]:
    """Return the steps of a run, sorted by their beginning; the same seed gives the same ones.

    Raises UsageError where a nemesis cannot do what is asked of it, such as with too few nodes.
    """
    for name in plan.nemeses:
        stages(
            name, FaultRequest(nodes, Random(0))
        )  # refused now, whether or not this seed ever draws it
    lanes = range(plan.overlapping if plan.nemeses else 0)
    steps = chain(_written(plan, nodes), *(_lane(plan, nodes, lane) for lane in lanes))
    return tuple(sorted(steps, key=lambda step: step.at))


def _lane(plan: Plan, nodes: Sequence[str], lane: int) -> Iterator[Step]:
    """Yield quiet, fault, quiet, fault ... as many whole faults as fit into the time limit."""
    random = Random(f"{plan.seed} {lane}" if lane else plan.seed)
    quiet, duration = bounds(plan.quiet_before), bounds(plan.fault_duration)
    healed = 0.0
    while healed + quiet[0] + duration[0] <= plan.time_limit:
        # capped, so that a long draw never keeps out a fault for which there is room
        at = healed + _drawn(quiet, plan.time_limit - healed - duration[0], random)
        lasts = _drawn(duration, plan.time_limit - at, random)
        name = plan.nemeses[0] if len(plan.nemeses) == 1 else random.choice(plan.nemeses)
        yield from _steps(plan, at, lasts, stages(name, FaultRequest(nodes, random)))
        healed = at + lasts


def _drawn(span: tuple[float, float], room: float, random: Random) -> float:
    least, most = span[0], min(span[1], room)
    return min(random.uniform(least, most), most) if least < most else least


def _written(plan: Plan, nodes: Sequence[str]) -> Iterator[Step]:
    """Yield the steps that the plan's own schedule says, each time that the whole of it fits into the time limit."""
    if plan.schedule is None:
        return
    random = Random(plan.seed)
    end = max(step.until for step in plan.schedule)
    begin, turn = 0.0, 0
    while begin + end <= plan.time_limit:
        for number, step in enumerate(plan.schedule, start=1):
            yield from _steps(
                plan, begin + step.at, step.lasts, _asked(number, step, nodes, random)
            )
        if plan.repeat_every is None:
            return
        turn += 1
        begin = turn * plan.repeat_every


def _asked(
    number: int, step: ScheduleItem, nodes: Sequence[str], random: Random
) -> tuple[Stage, ...]:
    grudge = {node: frozenset(dropped) for node, dropped in step.grudge.items()}
    try:
        return stages(
            step.fault, FaultRequest(nodes, random, step.nodes, step.groups, grudge, step.settings)
        )
    except UsageError as refused:
        raise UsageError(
            f"schedule item {number}: {refused.message}", remedy=refused.remedy
        ) from None


def _steps(plan: Plan, at: float, lasts: float, drawn: Sequence[Stage]) -> Iterator[Step]:
    for stage in drawn:
        # the sum may come out a hair beyond the limit
        until = min(at + stage.ends * lasts, plan.time_limit)
        yield Step(at + stage.begins * lasts, until, stage.fault)
