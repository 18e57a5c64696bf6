"""The faults of a run: each is injected and healed at its time while the load is on."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from jepsenvm.experiment.tasks import is_set_before, run_all
from jepsenvm.nemesis.engine import Nemesis
from jepsenvm.nemesis.schedule import ScheduledFault

LOOK_AGAIN_S: Final = 1.0
"""Seconds between two looks at a healing that other faults hide."""


async def inject_steps(
    nemesis: Nemesis, steps: Sequence[ScheduledFault], stop: asyncio.Event, began: float
) -> None:
    """Inject and heal every step at its time.

    ``began`` is the beginning of the load on the loop's clock. When ``stop`` is set, faults in
    force are healed at once and later steps are skipped. A step of a kind that is injected one at a
    time waits until the step before it was seen healed.
    """
    turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def inject(number: int, step: ScheduledFault) -> None:
        if not step.fault.one_at_a_time:
            await _inject_step(nemesis, number, step, stop, began)
            return
        async with turns[step.fault.kind]:  # which serves the steps in their order
            await _inject_step(nemesis, number, step, stop, began)

    await run_all([inject(number, step) for number, step in enumerate(steps, 1)])
    await asyncio.to_thread(nemesis.settle)


async def _inject_step(
    nemesis: Nemesis, number: int, step: ScheduledFault, stop: asyncio.Event, began: float
) -> None:
    starts, ends = began + step.at, began + step.until
    if await is_set_before(stop, starts - nemesis.ahead):
        return
    await asyncio.to_thread(nemesis.inject, number, step.fault, _wall_clock(starts))
    stopped = await is_set_before(stop, ends - nemesis.ahead)
    await asyncio.to_thread(nemesis.heal, number, None if stopped else _wall_clock(ends))
    while not await asyncio.to_thread(nemesis.seen_healed, number):
        # Not beyond the load: what hides it may be a fault by hand, which ends with the run.
        if await is_set_before(stop, asyncio.get_running_loop().time() + LOOK_AGAIN_S):
            break


def _wall_clock(instant: float) -> float:
    """Return an instant of the loop's clock as seconds of the wall clock."""
    return time.time() + instant - asyncio.get_running_loop().time()
