"""register: whether a compare-and-set register is linearizable."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.client_calls import Call, client_calls, orphans_reason
from jepsenvm.checkers.exercise import Exercise
from jepsenvm.checkers.linearizable import DEFAULT_BOUNDS, Bounds, Linearization, linearize
from jepsenvm.checkers.lock_holds import FOREVER
from jepsenvm.checkers.sequential_model import ANY_STATE, UNKNOWN_STATE, Effect, Model
from jepsenvm.checkers.value_key import value_key
from jepsenvm.checkers.verdict import Result, Verdict, worst
from jepsenvm.checkers.wording import counted, listed
from jepsenvm.errors import shorten, shown
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.table import History

SHOWN: Final = 20
"""At most this many calls of a violation are in a result."""

MOST_NAMES: Final = 10
"""A reason lists at most this many names or values."""

FS: Final = ("read", "write", "cas")
"""The operations of a register."""

REGISTER_EXERCISE: Final = Exercise(
    FS, {"observed-count": "no operation returned the value of the register, so it was not tested"}
)


NIL: Final = value_key(None)


def _effect(call: Call) -> Effect | None:
    if call.f == "read":
        value = value_key(call.answered)
        # Knossos allows a read of nil in every state: it stands for a read whose value is unknown.
        return None if value == NIL else Effect(value, value)
    argument = _argument(call)
    if call.f == "cas":
        return Effect(value_key(argument[0]), value_key(argument[1]))
    return Effect(ANY_STATE, value_key(argument))


def _argument(call: Call) -> Any:
    """Return the argument of a write or cas; some clients record it with the completion only."""
    return call.answered if call.asked is None else call.asked


def cas_register(initial: Any = None) -> Model:
    """Return Knossos' ``model/cas-register`` with an initial value, by default nil."""
    return Model(value_key(initial), _effect)


CAS_REGISTER: Final = cas_register()

ANY_REGISTER: Final = Model(UNKNOWN_STATE, _effect)
"""A register that may begin with any value. Its first read or cas shows the value."""

NOT_STATED: Final = object()
"""The initial value of registers if nobody states it."""


def register(
    history: History, *, initial: Any = NOT_STATED, bounds: Bounds = DEFAULT_BOUNDS
) -> Result:
    """Judge ``read`` (value), ``write`` (value) and ``cas`` ([old new]) as a linearizable register.

    If all values are pairs [key value], as with ``jepsen.independent``, each key is a register of
    its own. ``bounds`` are the limits of the search for a linearization, for each register.

    ``initial`` is the value with which every register begins. If it is not stated it is nil, as in
    Knossos. A history that only another initial value explains is then unknown and not invalid.

    It is unknown if no operation was ok, the history has other operations, a completion has no
    invocation, it is not clear whether the values have keys, or a search reached its bounds.
    """
    calls, orphans = client_calls(history, *FS)
    figures: dict[str, Any] = {
        **{f"{f}-count": sum(call.f == f and call.type == "ok" for call in calls) for f in FS},
        "observed-count": sum(map(_is_observation, calls)),
        "in-doubt-count": sum(call.type == "info" for call in calls),
        "violation": [],
    }
    problem = _problem(history, calls, orphans)
    if problem:
        return Result(Verdict.UNKNOWN, (problem,), figures)
    judged = [_judge(by_key, initial, bounds) for by_key in _by_key(calls)]
    result = replace(judged[0], figures={**figures, **judged[0].figures})
    if all(other.verdict is result.verdict for other in judged):
        return result
    reason = "it is not clear whether the values are pairs [key value], which decides the verdict"
    return Result(Verdict.UNKNOWN, (reason,), figures)


def _is_observation(call: Call) -> bool:
    """Return whether a call showed the value of the register."""
    has_value = call.f == "cas" or (call.f == "read" and call.answered is not None)
    return call.type == "ok" and has_value


def _judge(by_key: Mapping[str, Sequence[Call]], initial: Any, bounds: Bounds) -> Result:
    """Judge each register on its own."""
    problem = _malformed_cas(by_key)
    if problem:
        return Result(Verdict.UNKNOWN, (problem,))
    model = cas_register(None if initial is NOT_STATED else initial)
    unwritten = {key: _unwritten_reads(calls, model) for key, calls in by_key.items()}
    searches = {key: linearize(calls, model, bounds) for key, calls in by_key.items()}
    reasons, verdicts, violation = [], [], list[Call]()
    for key, search in searches.items():
        verdict = _verdict(by_key[key], search, unwritten[key], initial, bounds)
        verdicts.append(verdict)
        if verdict is Verdict.INVALID:
            violation = violation or unwritten[key][:1] or _shown_calls(search)
        if verdict is not Verdict.VALID:
            reasons.append(_reason(key, search, verdict, unwritten[key]))
    figures = {
        "configurations": sum(search.explored for search in searches.values()),
        "violation": [call.as_data() for call in violation],
    }
    return Result(worst(*verdicts), tuple(reasons), figures)


def _verdict(
    calls: Sequence[Call],
    search: Linearization,
    unwritten: Sequence[Call],
    initial: Any,
    bounds: Bounds,
) -> Verdict:
    """Return the verdict of one register; ``search`` is the search from its initial value."""
    # Of the values that no process had written, one at most can be the unknown initial value, and
    # only before it was overwritten.
    explained = 1 if initial is NOT_STATED else 0
    overwritten = min(
        (call.returned or 0 for call in calls if call.f != "read" and call.type == "ok"),
        default=FOREVER,
    )
    if len({_effect(call) for call in unwritten}) > explained or any(
        call.invoked > overwritten for call in unwritten
    ):
        return Verdict.INVALID
    if search.verdict is Verdict.INVALID and initial is NOT_STATED:
        other_initial = linearize(calls, ANY_REGISTER, bounds)
        return Verdict.INVALID if other_initial.verdict is Verdict.INVALID else Verdict.UNKNOWN
    return search.verdict


def _by_key(calls: Sequence[Call]) -> Sequence[Mapping[str, list[Call]]]:
    """Return the calls of each register by its key, or all under "" if the values have no keys.

    A cas has a pair as its value in any case. Only a read that is invoked with a pair shows that
    the values have keys. Without any read, both may be right, and both are returned.
    """
    whole = {"": list(calls)}
    if not all(
        _is_pair(call.asked) and (call.type != "ok" or _is_pair(call.answered)) for call in calls
    ):
        return [whole]
    reads = [call for call in calls if call.f == "read"]
    by_key: dict[str, list[Call]] = {}
    for call in calls:
        key, argument = call.asked
        answered = call.answered[1] if call.type == "ok" else None
        without_key = call._replace(asked=argument, answered=answered)
        by_key.setdefault(value_key(key)[1], []).append(without_key)
    if reads:
        return [by_key]
    return [whole] if _malformed_cas(by_key) else [by_key, whole]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _problem(history: History, calls: Sequence[Call], orphans: list[Call]) -> str | None:
    """Return why the history cannot be judged as that of a register, or None."""
    client_fs = {
        history.names[f] for chunk in history for f in np.unique(chunk.f[chunk.process != NEMESIS])
    }
    other_fs = sorted(client_fs - set(FS))
    if other_fs:
        names = shorten(listed(other_fs[:MOST_NAMES]), 200)
        return f"the history has operations that a register does not have: {names}"
    if orphans:
        return orphans_reason(orphans)
    if not any(call.type == "ok" for call in calls):
        return "no operation on the register was ok, so it was not tested"
    return None


def _malformed_cas(by_key: Mapping[str, Sequence[Call]]) -> str | None:
    for calls in by_key.values():
        for call in calls:
            if call.f == "cas" and not _is_pair(_argument(call)):
                value = shown(_argument(call))
                return f"the value of a cas must be [old new], found {value} of {call.who}"
    return None


def _unwritten_reads(calls: Sequence[Call], model: Model) -> list[Call]:
    """Return the ok reads of values that no write or cas had been invoked with when they returned.

    They are illegal in every order, so they explain best why there is no legal order.
    """
    first_write: dict[Hashable, int] = {model.initial: -1, NIL: -1}
    for call in calls:
        if call.f != "read" and call.type != "fail":
            written = _argument(call)[1] if call.f == "cas" else _argument(call)
            first_write.setdefault(value_key(written), call.invoked)
    return [
        call
        for call in calls
        if call.f == "read"
        and call.type == "ok"
        and first_write.get(value_key(call.answered), call.returned or 0) >= (call.returned or 0)
    ]


def _reason(key: str, search: Linearization, verdict: Verdict, unwritten: Sequence[Call]) -> str:
    """Return why a register is not valid."""
    if search.verdict is Verdict.INVALID and verdict is Verdict.UNKNOWN:
        name = f"register {key}" if key else "register"
        return (
            f"the {name} is not linearizable if it begins with nil, but may be with another "
            "initial value; state the value with --initial"
        )
    return _unwritten_reason(unwritten) if unwritten else _search_reason(key, search)


def _unwritten_reason(unwritten: Sequence[Call]) -> str:
    first = unwritten[0]
    reads = counted(len(unwritten), "read")
    return (
        f"{reads} returned a value that no process had written; the first: {first.who} read "
        f"{shown(first.answered)} {first.span}"
    )


def _shown_calls(search: Linearization) -> list[Call]:
    calls = [*search.concurrent, *([search.stuck] if search.stuck else [])]
    return sorted(calls, key=lambda call: call.invoked)[-SHOWN:]


def _search_reason(key: str, search: Linearization) -> str:
    name = f"register {key}" if key else "register"
    call = search.stuck
    if call is None or search.verdict is Verdict.UNKNOWN:
        return f"it is undecided whether the {name} is linearizable: {search.reason}"
    value = call.answered if call.f == "read" else _argument(call)
    states = sorted({_printed(state) for state in search.states})
    more = [f"{len(states) - MOST_NAMES} more values"] if len(states) > MOST_NAMES else []
    return (
        f"no order of the operations explains the ok {call.f} of {_printed(value_key(value))} by "
        f"{call.who} {call.span}: the {name} could only be "
        f"{' or '.join([*states[:MOST_NAMES], *more])} then"
    )


def _printed(key: Any) -> str:
    """Return a value by its key as people read it."""
    return "nil" if key == value_key(None) else str(key[1])
