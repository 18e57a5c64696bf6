"""faults: whether each planned fault was injected, measured to be in force, and healed."""

from __future__ import annotations

from collections.abc import Sequence

from jepsenvm.checkers.fault_intervals import FaultInterval, fault_intervals
from jepsenvm.checkers.fault_load import DEFAULT_ACKNOWLEDGEMENTS, acknowledged_ops, in_force
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.errors import shown
from jepsenvm.history.nemesis_records import SCHEDULE
from jepsenvm.history.table import History, Ints
from jepsenvm.history.units import SECOND


def faults(
    history: History, *, acknowledgements: Sequence[str] = DEFAULT_ACKNOWLEDGEMENTS
) -> Result:
    """Return unknown unless every planned fault is proven and an operation was acknowledged.

    A run without a proven fault says nothing about the broker, so it is never valid. It is never
    invalid either. ``vacuity`` judges whether each fault met any load.

    ``acknowledgements`` are the names of the operations that count as acknowledged when they are
    ok; the workload defines them.
    """
    intervals = fault_intervals(history)
    began, _ = acknowledged_ops(history, acknowledgements)
    schedules = [op.data for op in history.nemesis_ops() if op.f == SCHEDULE]
    planned = [len(schedule) for schedule in schedules if isinstance(schedule, list)]
    reasons = [_doubt(interval) for interval in intervals if not interval.proven]
    reasons += [
        f"the record of the planned faults cannot be read: {shown(schedule)}"
        for schedule in schedules
        if not isinstance(schedule, list)
    ]
    # Faults that a person injected by hand have numbers of their own and replace no planned fault.
    planned_numbers = {number for count in planned for number in range(1, count + 1)}
    missing = planned_numbers - {interval.number for interval in intervals}
    if missing:
        reasons.append(
            f"only {planned[-1] - len(missing)} of {planned[-1]} planned faults were injected"
        )
    if not planned:
        reasons.append("the history does not record which faults were planned")
    if not len(began):
        reasons.append("no operation was ever acknowledged, so there was nothing to lose")
    figures = {
        "planned-count": planned[-1] if planned else None,
        "windows": [_figures(began, interval) for interval in intervals],
    }
    return Result(Verdict.UNKNOWN if reasons else Verdict.VALID, tuple(reasons), figures)


def _doubt(interval: FaultInterval) -> str:
    """Return why a fault is not proven."""
    if interval.problems:
        return f"{interval.title} is not proven: {'; '.join(interval.problems)}"
    if interval.in_force is None:
        return f"{interval.title} was never seen in force"
    return f"{interval.title} was never seen healed"


def _figures(began: Ints, interval: FaultInterval) -> dict[str, object]:
    return {
        "window": interval.number,
        "fault": interval.fault,
        "injected": _in_seconds(interval.injected),
        "in-force": _in_seconds(interval.in_force),
        "heal-began": _in_seconds(interval.heal_began),
        "healed": _in_seconds(interval.healed),
        "proven": interval.proven,
        "skew-ms": interval.skew_ms,
        "acknowledged-count": int(in_force(began, interval).sum()),
    }


def _in_seconds(time: int | None) -> float | None:
    return None if time is None else round(time / SECOND, 3)
