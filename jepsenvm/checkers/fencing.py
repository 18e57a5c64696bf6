"""Fencing: whether a store that refuses old tokens is safe from a holder that does not know that it lost the lock."""

from __future__ import annotations

from collections.abc import Sequence

from jepsenvm.checkers.calls import Call, seconds
from jepsenvm.checkers.verdict import Result, Verdict


def fencing(happened: Sequence[Call]) -> Result:
    """Judge the tokens of ok acquires, whole numbers: none handed out twice, none after a larger one.

    After means that the acquire was invoked when the other had been ok. Acquires without a token make it unknown.
    Kleppmann, "How to do distributed locking" (2016), defines what a fencing token is for.
    """
    acquired = [call for call in happened if call.f == "acquire" and call.type == "ok"]
    numbered = [
        call
        for call in acquired
        if isinstance(call.answered, int) and not isinstance(call.answered, bool)
    ]
    twice, late = _twice(numbered), _late(numbered)
    reasons = []
    if twice:
        first, second = twice[0]
        reasons.append(
            f"{len(twice):,} tokens were handed out again: {_told(first)}, and {_told(second)}"
        )
    if late:
        first, second = late[0]
        reasons.append(
            f"{len(late):,} tokens came after a larger one: {_told(first)}, and only then {_told(second)}"
        )
    invalid = bool(reasons)
    untold = len(acquired) - len(numbered)
    if untold:
        reasons.append(f"{untold:,} acquires were ok without a token, so fencing cannot be judged")
    shown = [call.as_data() for pair in (twice or late)[:1] for call in pair]
    figures = {
        "token-repeated-count": len(twice),
        "token-late-count": len(late),
        "violation": shown,
    }
    verdict = Verdict.INVALID if invalid else Verdict.UNKNOWN if untold else Verdict.VALID
    return Result(verdict, tuple(reasons), figures)


def _twice(numbered: Sequence[Call]) -> list[tuple[Call, Call]]:
    """Return each acquire that was handed a token once more, after the one that had it first."""
    first: dict[int, Call] = {}
    ordered = sorted(numbered, key=lambda call: call.returned or 0)
    return [
        (first[call.answered], call)
        for call in ordered
        if first.setdefault(call.answered, call) is not call
    ]


def _late(numbered: Sequence[Call]) -> list[tuple[Call, Call]]:
    """Return each acquire whose token is smaller than one that had been handed out when it was invoked, after that."""
    moments = [(row or 0, call) for call in numbered for row in (call.invoked, call.returned)]
    largest: Call | None = None
    late = []
    for row, call in sorted(moments, key=lambda moment: moment[0]):
        if row == call.invoked:
            if largest is not None and call.answered < largest.answered:
                late.append((largest, call))
        elif largest is None or call.answered > largest.answered:
            largest = call
    return late


def _told(call: Call) -> str:
    return f"{call.who} got {call.answered} at {seconds(call.ended or 0)}"
