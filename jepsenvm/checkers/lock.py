"""lock: whether at most one process held the lock at a time, or its tokens are safe (fencing)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jepsenvm.checkers.client_calls import Call, client_calls, orphans_reason
from jepsenvm.checkers.exercise import Exercise
from jepsenvm.checkers.fencing import fencing
from jepsenvm.checkers.linearizable import DEFAULT_BOUNDS, Bounds
from jepsenvm.checkers.lock_holds import Hold, Overlaps, lock_holds, overlaps
from jepsenvm.checkers.mutual_exclusion import mutual_exclusion
from jepsenvm.checkers.vanished_queue import vanished_queue_doubt
from jepsenvm.checkers.verdict import Result, Verdict, worst
from jepsenvm.errors import shown
from jepsenvm.history.table import History

LOCK_EXERCISE: Final = Exercise(
    ("acquire", "release", "tokens"),
    {"acquire-count": "no process acquired the lock, so it was not tested"},
)


def lock(history: History, *, fenced: bool = False, bounds: Bounds = DEFAULT_BOUNDS) -> Result:
    """Judge ``acquire`` and ``release`` as a linearizable mutex that only its holder can release.

    ``fenced``  judge the tokens (the values of ok acquires) instead: two processes may hold the
                lock at once, but each token must be new and larger than all earlier ones.
    ``bounds``  the limits of the search for a linearization.

    An ok op ``tokens`` has the number of messages that were left in the queue that serves as the
    lock. Without any, no process can ever acquire the lock again (invalid). With two or more, two
    processes can hold it at once (invalid unless fenced).

    It is unknown if no process acquired the lock, if a completion has no invocation, or if the
    search reached its bounds.
    """
    calls, orphans = client_calls(history, "acquire", "release")
    happened = [call for call in calls if call.type != "fail"]
    parts = [
        _tested(happened, orphans),
        fencing(happened) if fenced else mutual_exclusion(happened, bounds),
        _remaining_tokens(history, fenced=fenced),
    ]
    holds = lock_holds(happened)
    figures: dict[str, Any] = _figures(happened, holds, overlaps(holds)) | {"fenced": fenced}
    for part in parts:
        figures |= part.figures
    return Result(
        worst(*(part.verdict for part in parts)),
        tuple(reason for part in parts for reason in part.reasons),
        figures,
    )


def lock_headline(figures: Mapping[str, Any]) -> str:
    """Return the numbers of acquires, releases and holds that overlap, in one line."""
    tokens = figures["tokens"]
    return (
        f"acquired {figures['acquire-count']:,}, released {figures['release-count']:,}, "
        f"TWO HOLDERS {figures['doubled-count']:,}, tokens left "
        f"{'unknown' if tokens is None else tokens}"
    )


def _tested(happened: Sequence[Call], orphans: list[Call]) -> Result:
    reasons = [orphans_reason(orphans)] if orphans else []
    if not any(call.f == "acquire" and call.type == "ok" for call in happened):
        reasons.append("no process acquired the lock, so it was not tested")
    return Result(Verdict.UNKNOWN if reasons else Verdict.VALID, tuple(reasons))


def _remaining_tokens(history: History, *, fenced: bool) -> Result:
    """Judge the number of tokens in the lock's queue at the end, if the history has it."""
    counts = history.values("ok", "tokens")
    count = history.label(counts[-1]) if len(counts) else None
    not_counted = {"tokens": None, "token-lost": False, "token-doubled": False}
    if count is None:
        if not history.count("invoke", "tokens"):
            return Result(Verdict.VALID, (), not_counted)
        reason = "the tokens left in the queue could not be counted"
        return Result(Verdict.UNKNOWN, (reason,), not_counted)
    if isinstance(count, bool) or not isinstance(count, int):
        reason = f"the number of tokens left is not an integer: {shown(count)}"
        return Result(Verdict.UNKNOWN, (reason,), not_counted)
    figures = {"tokens": count, "token-lost": count < 1, "token-doubled": count > 1}
    if count < 1:
        return _without_token(history, figures)
    if count > 1:
        reason = (
            f"the token is doubled: {count:,} were left, so {count:,} processes can hold the lock "
            "at once"
        )
        return Result(Verdict.VALID if fenced else Verdict.INVALID, (reason,), figures)
    return Result(Verdict.VALID, (), figures)


def _without_token(history: History, figures: Mapping[str, Any]) -> Result:
    doubt = vanished_queue_doubt(history)
    if doubt is not None:
        reason = f"{doubt}: whether the token is lost is undecided"
        return Result(Verdict.UNKNOWN, (reason,), {**figures, "token-lost": False})
    reason = "the token is lost: no process can ever acquire the lock again"
    return Result(Verdict.INVALID, (reason,), figures)


def _figures(
    happened: Sequence[Call], holds: Sequence[Hold], overlapping: Overlaps
) -> dict[str, Any]:
    def count(f: str, type_: str) -> int:
        return sum(call.f == f and call.type == type_ for call in happened)

    return {
        "acquire-count": count("acquire", "ok"),
        "release-count": count("release", "ok"),
        "acquire-in-doubt-count": count("acquire", "info"),
        "release-in-doubt-count": count("release", "info"),
        "doubled-count": overlapping.pairs,
        "overlapping-count": overlapping.holds,
        "most-holders": overlapping.most,
        "longest-hold-s": round(max((hold.seconds for hold in holds), default=0.0), 6),
    }
