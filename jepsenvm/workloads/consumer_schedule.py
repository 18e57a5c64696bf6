"""The schedule of each consumer: when it churns, crashes and acknowledges, drawn from the seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, repeat
from random import Random

from jepsenvm.plan.durations import bounds
from jepsenvm.plan.plan import Plan


@dataclass(frozen=True)
class ConsumerSchedule:
    """What one consumer does next, and after how many seconds."""

    churn: Iterator[float]
    """From a subscription to the next one; infinite without ``consumer-churn``."""
    crash: Iterator[float]
    """From a connection to its crash; infinite without ``consumer-crash``."""
    delays: Iterator[float] | None
    """For each message; None without ``consumer-delay``."""
    keeps_tag: Iterator[bool]
    """Whether each further subscription has the consumer tag of the one before."""


def consumer_schedule(plan: Plan, index: int, *, single_active: bool = False) -> ConsumerSchedule:
    """Return the schedule of the load's consumer with this index.

    With a single active consumer, no subscription keeps a consumer tag. A delivery that was under
    way to the cancelled subscription could come to the new one, as if that one were active.
    """
    return ConsumerSchedule(
        churn=_times(plan.consumer_churn, f"{plan.seed} {index} churn"),
        crash=_times(plan.consumer_crash, f"{plan.seed} {index} crash"),
        delays=None
        if plan.consumer_delay is None
        else _times(plan.consumer_delay, f"{plan.seed} {index} delay"),
        keeps_tag=cycle([not single_active, False]),
    )


def _times(seconds: float | tuple[float, float] | None, seed: str) -> Iterator[float]:
    # Each kind of time has a generator of its own. Otherwise the number of messages would decide
    # when a consumer crashes.
    if seconds is None:
        return repeat(math.inf)
    least, most = bounds(seconds)
    random = Random(seed)
    return (random.uniform(least, most) for _ in repeat(None))
