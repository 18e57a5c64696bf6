"""Mutual exclusion: whether calls of ``acquire`` and ``release`` are linearizable as a mutex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from jepsenvm.checkers.client_calls import Call
from jepsenvm.checkers.linearizable import DEFAULT_BOUNDS, Bounds, Linearization, linearize
from jepsenvm.checkers.lock_holds import Overlaps, lock_holds, overlaps
from jepsenvm.checkers.sequential_model import Effect, Model
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.checkers.wording import counted, seconds

FIRST_STEPS: Final = 50
"""Steps per call of the first search. Legal histories took three to five steps per call."""

MOST_SUSPECTS: Final = 5
"""At most this many possible holders are searched separately."""

SHOWN: Final = 20
"""At most this many calls of a violation are in a result."""


FREE: Final = None
"""The state of a lock without a holder."""


def _effect(call: Call) -> Effect:
    if call.f == "acquire":
        return Effect(FREE, call.process)
    return Effect(call.process, FREE)


MUTEX: Final = Model(FREE, _effect)
"""Knossos' ``model/mutex`` with an owner: only the process that holds the lock can release it."""


def mutual_exclusion(happened: Sequence[Call], bounds: Bounds = DEFAULT_BOUNDS) -> Result:
    """Judge whether these calls, none of which failed, are linearizable as MUTEX.

    Most histories are decided without a search:

    1. Two certain holds that overlap are never linearizable, since only the holder can release.
    2. If no process acts after a call of its own in doubt, then no overlap, and each release after
       an acquire of its process, is also sufficient: a legal order is that every acquire takes
       effect just before it returns and every release just after it was invoked.

    Only where processes act after a call in doubt a legal order must be searched for.
    """
    overlapping = overlaps(lock_holds(happened))
    if overlapping.first is not None:
        return _overlap_violation(overlapping)
    relevant = _without_useless_doubts(happened)
    if not _any_acts_after_doubt(relevant):
        unheld = _unheld_releases(relevant)
        if unheld:
            return _unheld_violation(unheld, happened)
        return Result(Verdict.VALID, (), {"violation": []})
    search = _search(relevant, bounds)
    if search.verdict is Verdict.INVALID:
        return _order_violation(search, happened)
    reasons = (f"mutual exclusion is undecided: {search.reason}",) if search.reason else ()
    return Result(search.verdict, reasons, {"violation": []})


def _without_useless_doubts(happened: Sequence[Call]) -> list[Call]:
    """Leave out acquires in doubt that no later release of the process could end.

    If such an acquire took effect, it would only keep all others out, so it explains nothing.
    """
    last_release = {call.process: call.invoked for call in happened if call.f == "release"}
    return [
        call
        for call in happened
        if call.f == "release"
        or call.type == "ok"
        or call.invoked < last_release.get(call.process, -1)
    ]


def _any_acts_after_doubt(calls: Sequence[Call]) -> bool:
    in_doubt: set[int] = set()
    for call in calls:
        if call.process in in_doubt:
            return True
        if call.type == "info":
            in_doubt.add(call.process)
    return False


def _unheld_releases(calls: Sequence[Call]) -> list[Call]:
    """Return the ok releases of processes that did not hold the lock."""
    holders: set[int] = set()
    unheld = []
    for call in calls:
        if call.f == "acquire":
            holders.add(call.process)
        elif call.process in holders:
            holders.remove(call.process)
        elif call.type == "ok":
            unheld.append(call)
    return unheld


def _search(calls: Sequence[Call], bounds: Bounds) -> Linearization:
    """Search for a legal order; where the search gets stuck, search few processes on their own.

    Removing all calls of a process from a legal order of a mutex leaves a legal order. So if the
    calls of a few processes have no legal order, all calls have none. Such a violation is found
    much sooner, and described with fewer calls.
    """
    first_steps = min(bounds.steps, FIRST_STEPS * len(calls))
    search = linearize(calls, MUTEX, replace(bounds, steps=first_steps))
    if search.verdict is Verdict.VALID:
        return search
    for suspects in _suspects(search):
        of_suspects = [call for call in calls if call.process in suspects]
        narrow_search = linearize(of_suspects, MUTEX, bounds)
        if narrow_search.verdict is Verdict.INVALID:
            return narrow_search
    if first_steps < bounds.steps and search.reason:
        return linearize(calls, MUTEX, bounds)
    return search


def _suspects(search: Linearization) -> list[set[int]]:
    """Return sets of processes at which a search got stuck, the smallest first."""
    if search.stuck is None:
        return []
    holders = _possible_holders(search)
    process = search.stuck.process
    return [{process}, *({process, holder} for holder in holders), {process, *holders}]


def _possible_holders(search: Linearization) -> list[int]:
    """Return processes that could hold the lock when the search got stuck."""
    return sorted(state for state in search.states if isinstance(state, int))[:MOST_SUSPECTS]


def _overlap_violation(overlapping: Overlaps) -> Result:
    assert overlapping.first is not None  # noqa: S101 - only called with an overlap
    first, second = overlapping.first
    acquired = f"acquired it at {seconds(second.acquire.ended or 0)}"
    if first.acquire.process == second.acquire.process:
        event = f"{first.description}, and {acquired} once more"
    else:
        event = f"{first.description}, and {second.acquire.who} {acquired}"
    holds_overlap = counted(overlapping.pairs, "pair of holds overlaps", "pairs of holds overlap")
    return _violation(
        f"the lock was held twice at once ({holds_overlap}); first, {event}",
        [*first.calls, *second.calls],
    )


def _unheld_violation(unheld: Sequence[Call], happened: Sequence[Call]) -> Result:
    first = unheld[0]
    earlier = [
        call for call in happened if call.process == first.process and call.invoked < first.invoked
    ]
    releases = counted(len(unheld), "release", "releases")
    return _violation(
        f"a process released the lock without holding it ({releases}); first, {first.who} "
        f"{first.span}",
        [*earlier[-2:], first],
    )


def _order_violation(search: Linearization, happened: Sequence[Call]) -> Result:
    stuck = search.stuck
    assert stuck is not None  # noqa: S101 - an invalid search always has it
    holders = _possible_holders(search)
    names = " or ".join(f"process {holder}" for holder in holders)
    possible = f"only {names}" if holders else "no process"
    latest = {(call.process, call.f): call for call in happened if call.invoked < stuck.invoked}
    shown = [latest[holder, "acquire"] for holder in holders if (holder, "acquire") in latest]
    shown += [call for call in search.concurrent if call.process in (*holders, stuck.process)]
    return _violation(
        f"no order of the operations explains the {stuck.f} of {stuck.who} {stuck.span}: "
        f"{possible} could hold the lock then",
        [*shown, stuck],
    )


def _violation(reason: str, shown: Sequence[Call]) -> Result:
    by_row = {call.invoked: call for call in shown}
    calls = [by_row[row].as_data() for row in sorted(by_row)]
    return Result(Verdict.INVALID, (reason,), {"violation": calls[-SHOWN:]})
