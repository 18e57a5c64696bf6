"""lock: whether at most one process held the lock at any time; and what fencing tokens make safe where it did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from jepsenvm.checkers.calls import Call, calls, seconds, unexplained
from jepsenvm.checkers.fencing import fencing
from jepsenvm.checkers.holds import Hold, Overlaps, holds, overlaps
from jepsenvm.checkers.linearizable import DEFAULT_BOUNDS, Bounds, Linearization, linearize
from jepsenvm.checkers.model import ILLEGAL, Model
from jepsenvm.checkers.verdict import Result, Verdict, worst
from jepsenvm.history.table import History

FIRST_LOOK: Final = 50
"""So many steps an op are tried before a search looks closer at where it is: legal histories took three to five."""

SHOWN: Final = 20
"""So many ops of a violation stand in a result."""


def _step(holder: int | None, f: str, process: int) -> object:
    if f == "acquire":
        return process if holder is None else ILLEGAL
    return None if holder == process else ILLEGAL


MUTEX: Final = Model(initial=None, step=_step, operand=lambda call: call.process)
"""Knossos' ``model/mutex`` (:acquire, :release), and stricter: only its holder can release it."""


def lock(history: History, *, fenced: bool = False, bounds: Bounds = DEFAULT_BOUNDS) -> Result:
    """Judge ops ``acquire`` and ``release`` as a linearizable mutex, each release by the process that acquired it.

    ``fenced`` asks instead that the tokens (the values of ok acquires) be safe: never one twice, and larger than those
    of all acquires that were ok before this one was invoked.

    An ok op ``tokens`` tells how many messages were left in the queue that is the lock: with none nobody can ever
    acquire it again (invalid), with two or more two can (invalid, if it is not fenced). Unknown when nobody acquired
    it, when completions have no invocation, and when a bound ended the search.
    """
    found, orphans = calls(history, "acquire", "release")
    happened = [call for call in found if call.type != "fail"]
    held = holds(happened)
    overlapping = overlaps(held)
    parts = [
        _tested(happened, orphans),
        fencing(happened) if fenced else exclusion(happened, bounds),
        _tokens(history, fenced=fenced),
    ]
    figures: dict[str, Any] = _figures(happened, held, overlapping) | {"fenced": fenced}
    for part in parts:
        figures |= part.figures
    return Result(
        worst(*(part.verdict for part in parts)),
        tuple(reason for part in parts for reason in part.reasons),
        figures,
    )


def exclusion(happened: Sequence[Call], bounds: Bounds = DEFAULT_BOUNDS) -> Result:
    """Say whether these calls, none of which failed, are linearizable as MUTEX.

    Two certain holds that overlap, never are: only its holder can release it. Where no process acts after an op of its
    own in doubt, that decides: if no certain holds overlap and each release follows an acquire of its process, then
    acquires taking effect just before they return and releases just after they were invoked are a legal order. Only
    where processes do act after their doubts the order must be searched for.
    """
    held = holds(happened)
    overlapping = overlaps(held)
    if overlapping.first is not None:
        return _overlapping(overlapping, *overlapping.first)
    relevant = _relevant(happened)
    if _orderly(relevant):
        unheld = _unheld(relevant)
        return (
            _released_by_others(unheld, happened)
            if unheld
            else Result(Verdict.VALID, (), {"violation": []})
        )
    search = _searched(relevant, bounds)
    if search.verdict is Verdict.INVALID:
        return _unexplained(search, happened)
    reasons = (f"whether it was held by one at a time: {search.reason}",) if search.reason else ()
    return Result(search.verdict, reasons, {"violation": []})


def _searched(relevant: Sequence[Call], bounds: Bounds) -> Linearization:
    """Search for an order, and where the search stops, among the few processes that it stopped at.

    Whoever takes all ops of a process out of a legal order of a mutex has a legal order. So what is illegal of a few
    processes is illegal of all; it is found much sooner, and told in fewer ops.
    """
    look = min(bounds.steps, FIRST_LOOK * len(relevant))
    search = linearize(relevant, MUTEX, replace(bounds, steps=look))
    if search.verdict is Verdict.VALID:
        return search
    for few in _suspects(search):
        narrow = linearize([call for call in relevant if call.process in few], MUTEX, bounds)
        if narrow.verdict is Verdict.INVALID:
            return narrow
    return linearize(relevant, MUTEX, bounds) if look < bounds.steps and search.reason else search


def _suspects(search: Linearization) -> list[set[int]]:
    """Return the processes that a search stopped at, the fewest first."""
    if search.stuck is None:
        return []
    holders = _holders(search)
    itself = search.stuck.process
    return [{itself}, *({itself, holder} for holder in holders), {itself, *holders}]


def _holders(search: Linearization) -> list[int]:
    return sorted(state for state in search.states if isinstance(state, int))[:5]


def _relevant(happened: Sequence[Call]) -> list[Call]:
    """Leave out acquires in doubt that nobody could release: one that took effect would only keep all others out."""
    last = {call.process: call.invoked for call in happened if call.f == "release"}
    return [
        call
        for call in happened
        if call.f == "release" or call.type == "ok" or call.invoked < last.get(call.process, -1)
    ]


def _orderly(relevant: Sequence[Call]) -> bool:
    """Say whether no process acts after an op of its own in doubt."""
    doubtful: set[int] = set()
    for call in relevant:
        if call.process in doubtful:
            return False
        if call.type == "info":
            doubtful.add(call.process)
    return True


def _unheld(relevant: Sequence[Call]) -> list[Call]:
    """Return the ok releases of processes that did not hold it."""
    holding: set[int] = set()
    unheld = []
    for call in relevant:
        if call.f == "acquire":
            holding.add(call.process)
        elif call.process in holding:
            holding.remove(call.process)
        elif call.type == "ok":
            unheld.append(call)
    return unheld


def _overlapping(overlapping: Overlaps, first: Hold, second: Hold) -> Result:
    story = (
        f"{first.story}, and {second.acquire.who} acquired it at {seconds(second.acquire.ended or 0)}"
        if first.acquire.process != second.acquire.process
        else f"{first.story}, and acquired it once more at {seconds(second.acquire.ended or 0)}"
    )
    times = "once" if overlapping.pairs == 1 else f"{overlapping.pairs:,} times, the first of them"
    return _violation(f"two held the lock at once, {times}: {story}", [*first.calls, *second.calls])


def _released_by_others(unheld: Sequence[Call], happened: Sequence[Call]) -> Result:
    first = unheld[0]
    before = [
        call for call in happened if call.process == first.process and call.invoked < first.invoked
    ][-2:]
    times = "once" if len(unheld) == 1 else f"{len(unheld):,} times, the first of them"
    return _violation(
        f"the lock was released by a process that did not hold it, {times}: {first.who} {first.span}",
        [*before, first],
    )


def _unexplained(search: Linearization, happened: Sequence[Call]) -> Result:
    stuck = search.stuck
    assert stuck is not None  # noqa: S101 - an invalid search always names it
    holders = _holders(search)
    could = (
        "only " + " or ".join(f"process {holder}" for holder in holders) if holders else "nobody"
    )
    latest = {(call.process, call.f): call for call in happened if call.invoked < stuck.invoked}
    shown = [latest[holder, "acquire"] for holder in holders if (holder, "acquire") in latest]
    shown += [call for call in search.concurrent if call.process in (*holders, stuck.process)]
    return _violation(
        f"no order of the ops explains the {stuck.f} of {stuck.who} {stuck.span}: {could} could have it then",
        [*shown, stuck],
    )


def _violation(reason: str, shown: Sequence[Call]) -> Result:
    by_row = {call.invoked: call for call in shown}
    return Result(
        Verdict.INVALID,
        (reason,),
        {"violation": [by_row[row].as_data() for row in sorted(by_row)][-SHOWN:]},
    )


def _tested(happened: Sequence[Call], orphans: list[Call]) -> Result:
    reasons = [unexplained(orphans)] if orphans else []
    if not any(call.f == "acquire" and call.type == "ok" for call in happened):
        reasons.append("nobody ever acquired the lock, so it was not tested")
    return Result(Verdict.UNKNOWN if reasons else Verdict.VALID, tuple(reasons))


def _tokens(history: History, *, fenced: bool) -> Result:
    """Judge what was left of the lock's own message at the end, where an op tells it."""
    told = history.values("ok", "tokens")
    left = history.label(told[-1]) if len(told) else None
    nobody_knows = {"tokens": None, "token-lost": False, "token-doubled": False}
    if left is None:
        asked = history.count("invoke", "tokens") > 0
        reasons = ("how many tokens were left was asked, and never answered",) if asked else ()
        return Result(Verdict.UNKNOWN if asked else Verdict.VALID, reasons, nobody_knows)
    if isinstance(left, bool) or not isinstance(left, int):
        return Result(
            Verdict.UNKNOWN, (f"how many tokens were left is not a number: {left!r}",), nobody_knows
        )
    figures = {"tokens": left, "token-lost": left < 1, "token-doubled": left > 1}
    if left < 1:
        return Result(
            Verdict.INVALID, ("the token is lost: nobody can ever acquire the lock again",), figures
        )
    if left > 1:
        reason = f"the token is doubled: {left:,} were left, so {left:,} processes can hold the lock at once"
        return Result(Verdict.VALID if fenced else Verdict.INVALID, (reason,), figures)
    return Result(Verdict.VALID, (), figures)


def _figures(
    happened: Sequence[Call], held: Sequence[Hold], overlapping: Overlaps
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
        "longest-hold-s": round(max((hold.seconds for hold in held), default=0.0), 6),
    }
