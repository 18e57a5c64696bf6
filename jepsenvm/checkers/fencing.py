"""Fencing tokens: whether a store that refuses old tokens is safe from a former lock holder.

A process may not know that it lost the lock. A store that refuses a token smaller than one it has
seen refuses such a process (Kleppmann, "How to do distributed locking", 2016).
"""

from __future__ import annotations

from collections.abc import Sequence

from jepsenvm.checkers.client_calls import Call
from jepsenvm.checkers.verdict import Result, graded
from jepsenvm.checkers.wording import counted, seconds


def fencing(calls: Sequence[Call]) -> Result:
    """Judge the tokens of ok acquires: each must be new, and larger than all earlier ones.

    A token is earlier if its acquire was ok before the other acquire was invoked; concurrent
    acquires may get their tokens in any order. ``calls`` are calls that did not fail. An acquire
    without an integer token makes the result unknown.
    """
    acquires = [call for call in calls if call.f == "acquire" and call.type == "ok"]
    with_token = [
        call
        for call in acquires
        if isinstance(call.answered, int) and not isinstance(call.answered, bool)
    ]
    repeated, late = _repeated(with_token), _late(with_token)
    reasons = []
    if repeated:
        first, second = repeated[0]
        acquires_got = counted(len(repeated), "acquire got", "acquires got")
        reasons.append(
            f"{acquires_got} a token that was already granted: {_grant(first)}, and "
            f"{_grant(second)}"
        )
    if late:
        first, second = late[0]
        acquires_got = counted(len(late), "acquire got", "acquires got")
        reasons.append(
            f"{acquires_got} a token smaller than an earlier one: {_grant(first)}, and then "
            f"{_grant(second)}"
        )
    without_token = len(acquires) - len(with_token)
    if without_token:
        were_ok = counted(without_token, "acquire was", "acquires were")
        reasons.append(f"{were_ok} ok without a token, so fencing cannot be judged")
    figures = {
        "token-repeated-count": len(repeated),
        "token-late-count": len(late),
        "violation": [call.as_data() for pair in (repeated or late)[:1] for call in pair],
    }
    verdict = graded(invalid=bool(repeated or late), unknown=bool(without_token))
    return Result(verdict, tuple(reasons), figures)


def _repeated(acquires: Sequence[Call]) -> list[tuple[Call, Call]]:
    """Return each acquire with a repeated token, after the first acquire with that token."""
    first: dict[int, Call] = {}
    in_order = sorted(acquires, key=lambda call: call.returned or 0)
    return [
        (first[call.answered], call)
        for call in in_order
        if first.setdefault(call.answered, call) is not call
    ]


def _late(acquires: Sequence[Call]) -> list[tuple[Call, Call]]:
    """Return each acquire with a token smaller than an earlier one, after the acquire of that one.

    One pass over all invocations and returns, in the order of the history: ``largest`` is the
    acquire with the largest token among those that have returned.
    """
    moments = [(row or 0, call) for call in acquires for row in (call.invoked, call.returned)]
    largest: Call | None = None
    late = []
    for row, call in sorted(moments, key=lambda moment: moment[0]):
        if row == call.invoked:
            if largest is not None and call.answered < largest.answered:
                late.append((largest, call))
        elif largest is None or call.answered > largest.answered:
            largest = call
    return late


def _grant(call: Call) -> str:
    return f"{call.who} got {call.answered} at {seconds(call.ended or 0)}"
