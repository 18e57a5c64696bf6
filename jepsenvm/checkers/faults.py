"""faults: whether each planned fault happened, was seen to bite, and was healed."""

from __future__ import annotations

from jepsenvm.checkers.fault_intervals import (
    FaultInterval,
    acknowledgements,
    fault_intervals,
    in_force,
)
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.nemesis_records import SCHEDULE
from jepsenvm.history.table import History, Ints
from jepsenvm.history.units import SECOND


def faults(history: History) -> Result:
    """Say unknown unless every planned fault happened and is proven, and anything was acknowledged; never invalid.

    A run that broke nothing says nothing about the broker. Whether each fault met any load is for ``vacuity`` to say.
    """
    seen = fault_intervals(history)
    times, _ = acknowledgements(history)
    planned = [len(op.data) for op in history.nemesis_ops() if op.f == SCHEDULE]
    figures = [_figures(times, window) for window in seen]
    reasons = [reason for window in seen for reason in _doubts(window)]
    missing = {number for count in planned for number in range(1, count + 1)} - {
        window.number for window in seen
    }
    if missing:
        reasons.append(
            f"only {planned[-1] - len(missing)} of {planned[-1]} planned faults were injected"
        )
    if not planned:
        reasons.append("the history does not tell which faults were planned")
    if not len(times):
        reasons.append("nothing was ever acknowledged, so there was nothing to lose")
    verdict = Verdict.UNKNOWN if reasons else Verdict.VALID
    return Result(
        verdict,
        tuple(reasons),
        {"planned-count": planned[-1] if planned else None, "windows": figures},
    )


def _doubts(window: FaultInterval) -> list[str]:
    if window.problems:
        return [f"{window.title} is not proven: {'; '.join(window.problems)}"]
    if window.in_force is None:
        return [f"{window.title} was never seen in force"]
    if window.healed is None:
        return [f"{window.title} was never seen healed"]
    return []


def _figures(acknowledged: Ints, window: FaultInterval) -> dict[str, object]:
    def seconds(time: int | None) -> float | None:
        return None if time is None else round(time / SECOND, 3)

    return {
        "window": window.number,
        "fault": window.fault,
        "injected": seconds(window.injected),
        "in-force": seconds(window.in_force),
        "heal-began": seconds(window.heal_began),
        "healed": seconds(window.healed),
        "proven": window.proven,
        "skew-ms": window.skew_ms,
        "acknowledged-count": int(in_force(acknowledged, window).sum()),
    }
