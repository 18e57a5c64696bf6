"""The schedule of a run: which fault begins and ends at which time.

The plan's seed draws it, or the plan lists it. No fault ends after the time limit, so every run
ends healed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random

from jepsenvm.errors import UsageError
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.faults.feature_flag import FLAG
from jepsenvm.nemesis.faults.upgrade import TARGET
from jepsenvm.nemesis.registry import NEMESES, stages
from jepsenvm.nemesis.request import FaultRequest, Stage
from jepsenvm.plan.durations import bounds
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.schedule_item import ScheduleItem


@dataclass(frozen=True)
class ScheduledFault:
    """One fault with its begin and end, in seconds since the load began."""

    at: float
    until: float
    fault: Fault


def schedule(plan: Plan, nodes: Sequence[str]) -> tuple[ScheduledFault, ...]:
    """Return the faults of a run, sorted by their begin; the same seed gives the same schedule.

    Raise UsageError if a nemesis of the plan cannot draw its fault, such as with too few nodes.
    """
    # Each nemesis is checked once, even if this seed never draws it.
    faults_of_nemeses(plan, nodes)
    lanes = range(plan.overlapping if plan.nemeses else 0)
    scheduled = chain(_listed(plan, nodes), *(_drawn_lane(plan, nodes, lane) for lane in lanes))
    return tuple(sorted(scheduled, key=lambda item: item.at))


def faults_of_nemeses(plan: Plan, nodes: Sequence[str]) -> list[Fault]:
    """Return the faults of one draw of each nemesis of a plan, to ask what they need.

    Raise UsageError if a nemesis cannot draw its fault, such as with too few nodes.
    """
    return [
        stage.fault
        for name in plan.nemeses
        for stage in stages(name, FaultRequest(nodes, Random(0), texts=_texts(plan, name)))
    ]


def _drawn_lane(plan: Plan, nodes: Sequence[str], lane: int) -> Iterator[ScheduledFault]:
    """Yield faults with quiet times between them, as many as fit into the time limit.

    Faults of one lane never overlap. Faults of different lanes may.
    """
    random = Random(f"{plan.seed} {lane}" if lane else plan.seed)
    quiet, duration = bounds(plan.quiet_before), bounds(plan.fault_duration)
    healed_at = 0.0
    while healed_at + quiet[0] + duration[0] <= plan.time_limit:
        # The room caps the draw. A long quiet time never displaces a fault that would still fit.
        at = healed_at + _draw(quiet, plan.time_limit - healed_at - duration[0], random)
        lasts = _draw(duration, plan.time_limit - at, random)
        name = plan.nemeses[0] if len(plan.nemeses) == 1 else random.choice(plan.nemeses)
        request = FaultRequest(nodes, random, texts=_texts(plan, name))
        yield from _scheduled(plan, at, lasts, stages(name, request))
        healed_at = at + lasts


def _draw(span: tuple[float, float], room: float, random: Random) -> float:
    least, most = span[0], min(span[1], room)
    return min(random.uniform(least, most), most) if least < most else least


def _listed(plan: Plan, nodes: Sequence[str]) -> Iterator[ScheduledFault]:
    """Yield the faults that the plan lists, once or at each repetition that fits the time limit."""
    if plan.schedule is None:
        return
    random = Random(plan.seed)
    end = max(item.until for item in plan.schedule)
    begin, turn = 0.0, 0
    while begin + end <= plan.time_limit:
        for number, item in enumerate(plan.schedule, start=1):
            drawn = _stages_of(plan, number, item, nodes, random)
            yield from _scheduled(plan, begin + item.at, item.lasts, drawn)
        if plan.repeat_every is None:
            return
        turn += 1
        begin = turn * plan.repeat_every


def _texts(plan: Plan, name: str) -> dict[str, str]:
    """Return the settings that are texts and that the plan itself has for a nemesis."""
    spec = NEMESES.get(name)
    if plan.upgrade_to is None or spec is None or TARGET not in spec.texts:
        return {}
    return {TARGET: plan.upgrade_to}


def _stages_of(
    plan: Plan, number: int, item: ScheduleItem, nodes: Sequence[str], random: Random
) -> tuple[Stage, ...]:
    """Return the stages of an item of the plan's schedule; its number stands in any error."""
    request = FaultRequest(
        nodes,
        random,
        victims=item.nodes,
        groups=item.groups,
        grudge={node: frozenset(sources) for node, sources in item.grudge.items()},
        settings=item.settings,
        texts={**_texts(plan, item.fault), **({} if item.flag is None else {FLAG: item.flag})},
    )
    try:
        return stages(item.fault, request)
    except UsageError as problem:
        raise UsageError(
            f"schedule item {number}: {problem.message}", remedy=problem.remedy
        ) from None


def _scheduled(
    plan: Plan, at: float, lasts: float, drawn: Sequence[Stage]
) -> Iterator[ScheduledFault]:
    for stage in drawn:
        # Rounding may put the sum slightly beyond the limit.
        until = min(at + stage.ends * lasts, plan.time_limit)
        yield ScheduledFault(at + stage.begins * lasts, until, stage.fault)
