"""The faults of a run: each is injected and healed at its time while the load is on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from jepsenvm.experiment.tasks import is_set_before, run_all
from jepsenvm.nemesis.engine import Nemesis
from jepsenvm.nemesis.schedule import ScheduledFault


async def inject_steps(
    nemesis: Nemesis, steps: Sequence[ScheduledFault], stop: asyncio.Event, began: float
) -> None:
    """Inject and heal every step at its time.

    ``began`` is the beginning of the load on the loop's clock. When ``stop`` is set, faults in
    force are healed at once and later steps are skipped.
    """
    await run_all(
        [_inject_step(nemesis, number, step, stop, began) for number, step in enumerate(steps, 1)]
    )


async def _inject_step(
    nemesis: Nemesis, number: int, step: ScheduledFault, stop: asyncio.Event, began: float
) -> None:
    starts, ends = began + step.at, began + step.until
    if await is_set_before(stop, starts - nemesis.ahead):
        return
    await asyncio.to_thread(nemesis.inject, number, step.fault, _wall_clock(starts))
    stopped = await is_set_before(stop, ends - nemesis.ahead)
    await asyncio.to_thread(nemesis.heal, number, None if stopped else _wall_clock(ends))


def _wall_clock(instant: float) -> float:
    """Return an instant of the loop's clock as seconds of the wall clock."""
    return time.time() + instant - asyncio.get_running_loop().time()
