"""register: whether a compare-and-set register is linearizable."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.client_calls import Call, client_calls, orphans_reason
from jepsenvm.checkers.linearizable import DEFAULT_BOUNDS, Bounds, Linearization, linearize
from jepsenvm.checkers.sequential_model import ILLEGAL, Model
from jepsenvm.checkers.value_key import value_key
from jepsenvm.checkers.verdict import Result, Verdict, worst
from jepsenvm.checkers.wording import counted, listed
from jepsenvm.errors import shown
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.table import History

SHOWN: Final = 20
"""At most this many calls of a violation are in a result."""

MOST_NAMES: Final = 10
"""A reason lists at most this many names or values."""

FS: Final = ("read", "write", "cas")
"""The operations of a register."""


def _step(value: Hashable, f: str, operand: Any) -> object:
    if f == "read":
        return value if operand == value else ILLEGAL
    if f == "write":
        return operand
    old, new = operand
    return new if old == value else ILLEGAL


def _operand(call: Call) -> Hashable:
    if call.f == "read":
        return value_key(call.answered)
    argument = _argument(call)
    if call.f == "cas":
        return value_key(argument[0]), value_key(argument[1])
    return value_key(argument)


def _argument(call: Call) -> Any:
    """Return the argument of a write or cas; some clients record it with the completion only."""
    return call.answered if call.asked is None else call.asked


CAS_REGISTER: Final = Model(
    initial=value_key(None), step=_step, operand=_operand, reads=frozenset({"read"})
)
"""Knossos' ``model/cas-register``. It is initially nil, and an ok read of nil is a read of that."""


def register(history: History, *, bounds: Bounds = DEFAULT_BOUNDS) -> Result:
    """Judge ``read`` (value), ``write`` (value) and ``cas`` ([old new]) as a linearizable register.

    If all values are pairs [key value], as with ``jepsen.independent``, each key is a register of
    its own. ``bounds`` are the limits of the search for a linearization, for each register.

    It is unknown if no operation was ok, the history has other operations, a completion has no
    invocation, or a search reached its bounds.
    """
    calls, orphans = client_calls(history, *FS)
    by_key = _by_key(calls)
    figures: dict[str, Any] = {
        **{f"{f}-count": sum(call.f == f and call.type == "ok" for call in calls) for f in FS},
        "in-doubt-count": sum(call.type == "info" for call in calls),
        "violation": [],
    }
    problem = _problem(history, calls, orphans) or _malformed_cas(by_key)
    if problem:
        return Result(Verdict.UNKNOWN, (problem,), figures)
    unwritten = [call for key_calls in by_key.values() for call in _unwritten_reads(key_calls)]
    if unwritten:
        reason = _unwritten_reason(unwritten)
        return Result(Verdict.INVALID, (reason,), figures | {"violation": [unwritten[0].as_data()]})
    searches = {
        key: linearize(key_calls, CAS_REGISTER, bounds) for key, key_calls in by_key.items()
    }
    invalid = [search for search in searches.values() if search.verdict is Verdict.INVALID]
    figures["configurations"] = sum(search.explored for search in searches.values())
    if invalid:
        figures["violation"] = [call.as_data() for call in _shown_calls(invalid[0])]
    reasons = [
        _search_reason(key, search)
        for key, search in searches.items()
        if search.verdict is not Verdict.VALID
    ]
    return Result(worst(*(search.verdict for search in searches.values())), tuple(reasons), figures)


def _by_key(calls: Sequence[Call]) -> Mapping[str, list[Call]]:
    """Return the calls of each register by its key, or all under "" if the values have no keys.

    A cas has a pair as its value in any case. Only a read that is invoked with a pair shows that
    the values have keys.
    """
    has_key_read = any(call.f == "read" and _is_pair(call.asked) for call in calls)
    all_pairs = all(
        _is_pair(call.asked) and (call.type != "ok" or _is_pair(call.answered)) for call in calls
    )
    if not has_key_read or not all_pairs:
        return {"": list(calls)}
    by_key: dict[str, list[Call]] = {}
    for call in calls:
        key, argument = call.asked
        answered = call.answered[1] if call.type == "ok" else None
        without_key = replace(call, asked=argument, answered=answered)
        by_key.setdefault(repr(key), []).append(without_key)
    return by_key


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _problem(history: History, calls: Sequence[Call], orphans: list[Call]) -> str | None:
    """Return why the history cannot be judged as that of a register, or None."""
    client_fs = {
        history.names[f] for chunk in history for f in np.unique(chunk.f[chunk.process != NEMESIS])
    }
    other_fs = sorted(client_fs - set(FS))
    if other_fs:
        names = listed(other_fs[:MOST_NAMES])
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


def _unwritten_reads(calls: Sequence[Call]) -> list[Call]:
    """Return the ok reads of values that no write or cas had been invoked with when they returned.

    They are illegal in every order, so no search is needed.
    """
    first_write: dict[Hashable, int] = {CAS_REGISTER.initial: -1}
    for call in calls:
        if call.f != "read" and call.type != "fail":
            operand: Any = _operand(call)
            new_value = operand[1] if call.f == "cas" else operand
            first_write.setdefault(new_value, call.invoked)
    return [
        call
        for call in calls
        if call.f == "read"
        and call.type == "ok"
        and first_write.get(_operand(call), call.returned or 0) >= (call.returned or 0)
    ]


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
    states = sorted({_printed(state) for state in search.states})[:MOST_NAMES]
    return (
        f"no order of the operations explains the ok {call.f} of {_printed(value_key(value))} by "
        f"{call.who} {call.span}: the {name} could only be {' or '.join(states)} then"
    )


def _printed(key: Any) -> str:
    """Return a value by its key as people read it."""
    return "nil" if key == value_key(None) else str(key[1])
