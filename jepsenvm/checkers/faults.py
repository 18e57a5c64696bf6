"""faults: whether each fault was seen to bite, was healed, and met any load while it was in force."""

from __future__ import annotations

from typing import Final

from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.checkers.windows import SECOND, Window, acknowledged_within, windows
from jepsenvm.history.table import History

SCHEDULE: Final = "schedule"
"""The f of the nemesis op whose ``data`` lists the planned steps."""


def faults(history: History) -> Result:
    """Say unknown unless every planned fault happened, is proven and met acknowledged ops; never invalid.

    A run that broke nothing, or broke it while nobody was writing, says nothing about the broker. A fault that means to
    keep every publisher from being confirmed need not meet any, while it is in force.
    """
    seen = windows(history)
    planned = [len(op.data) for op in history.nemesis_ops() if op.f == SCHEDULE]
    figures = [_figures(history, window) for window in seen]
    reasons = [reason for window in seen for reason in _doubts(window)]
    reasons += [
        f"{window.title} met no acknowledged message while it was in force, so it tested nothing"
        for window, row in zip(seen, figures, strict=True)
        if window.in_force is not None and not window.stops_load and not row["acknowledged-count"]
    ]
    missing = {number for count in planned for number in range(1, count + 1)} - {window.number for window in seen}
    if missing:
        reasons.append(f"only {planned[-1] - len(missing)} of {planned[-1]} planned faults were injected")
    if not planned:
        reasons.append("the history does not tell which faults were planned")
    if not history.count("ok", "enqueue"):
        reasons.append("nothing was ever acknowledged, so there was nothing to lose")
    verdict = Verdict.UNKNOWN if reasons else Verdict.VALID
    return Result(verdict, tuple(reasons), {"planned-count": planned[-1] if planned else None, "windows": figures})


def _doubts(window: Window) -> list[str]:
    if window.problems:
        return [f"{window.title} is not proven: {'; '.join(window.problems)}"]
    if window.in_force is None:
        return [f"{window.title} was never seen in force"]
    if window.healed is None:
        return [f"{window.title} was never seen healed"]
    return []


def _figures(history: History, window: Window) -> dict[str, object]:
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
        "acknowledged-count": acknowledged_within(history, window),
    }
