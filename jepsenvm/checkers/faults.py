"""faults: whether each fault was seen to bite, was healed, and met any load while it was in force."""

from __future__ import annotations

from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.checkers.windows import SECOND, Window, acknowledged_within, windows
from jepsenvm.history.table import History


def faults(history: History, *, planned: int) -> Result:
    """Say unknown unless every planned fault happened, is proven and met acknowledged ops; never invalid.

    A run that broke nothing, or broke it while nobody was writing, says nothing about the broker.
    """
    seen = windows(history)
    figures = [_figures(history, window) for window in seen]
    reasons = [reason for window in seen for reason in _doubts(window)]
    reasons += [
        f"{window.title} met no acknowledged message while it was in force, so it tested nothing"
        for window, row in zip(seen, figures, strict=True)
        if window.in_force is not None and not row["acknowledged-count"]
    ]
    if len(seen) < planned:
        reasons.append(f"only {len(seen)} of {planned} planned faults were injected")
    if not history.count("ok", "enqueue"):
        reasons.append("nothing was ever acknowledged, so there was nothing to lose")
    verdict = Verdict.UNKNOWN if reasons else Verdict.VALID
    return Result(verdict, tuple(reasons), {"planned-count": planned, "windows": figures})


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
        "acknowledged-count": acknowledged_within(history, window),
    }
