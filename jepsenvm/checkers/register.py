"""register: whether a compare-and-set register is linearizable."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.calls import Call, calls, unexplained
from jepsenvm.checkers.linearizable import DEFAULT_BOUNDS, Bounds, Linearization, linearize
from jepsenvm.checkers.model import ILLEGAL, Model, identity
from jepsenvm.checkers.verdict import Result, Verdict, worst
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.table import History

SHOWN: Final = 20
"""So many ops of a violation stand in a result."""

FS: Final = ("read", "write", "cas")


def _step(value: Hashable, f: str, operand: Any) -> object:
    if f == "read":
        return value if operand == value else ILLEGAL
    if f == "write":
        return operand
    old, new = operand
    return new if old == value else ILLEGAL


def _operand(call: Call) -> Hashable:
    if call.f == "read":
        return identity(call.answered)
    value = _written(call)
    return (identity(value[0]), identity(value[1])) if call.f == "cas" else identity(value)


def _written(call: Call) -> Any:
    """Return what a write or cas was to do: some clients give it with the completion only."""
    return call.answered if call.asked is None else call.asked


CAS_REGISTER: Final = Model(
    initial=identity(None), step=_step, operand=_operand, reads=frozenset({"read"})
)
"""Knossos' ``model/cas-register``: it begins as nil, and an ok read of nil is a read of that."""


def register(history: History, *, bounds: Bounds = DEFAULT_BOUNDS) -> Result:
    """Judge ops ``read`` (value), ``write`` (value) and ``cas`` ([old new]) as one linearizable register.

    Values that are ``[key value]``, as those of ``jepsen.independent``, are judged as one register a key. Unknown when
    nothing was ok, an op is no register's, a completion has no invocation, or a bound ended the search.
    """
    found, orphans = calls(history, *FS)
    by_key = _by_key(found)
    problem = _problem(history, found, orphans) or next(
        filter(None, map(_malformed, by_key.values())), None
    )
    figures: dict[str, Any] = {
        **{f"{f}-count": sum(call.f == f and call.type == "ok" for call in found) for f in FS},
        "in-doubt-count": sum(call.type == "info" for call in found),
        "violation": [],
    }
    if problem:
        return Result(Verdict.UNKNOWN, (problem,), figures)
    unwritten = [call for one in by_key.values() for call in _unwritten(one)]
    if unwritten:
        first = unwritten[0]
        reason = f"{len(unwritten):,} reads of what nobody had written: {first.who} read {first.answered!r} {first.span}"
        return Result(Verdict.INVALID, (reason,), figures | {"violation": [first.as_data()]})
    searches = {key: linearize(one, CAS_REGISTER, bounds) for key, one in by_key.items()}
    stuck = [search for search in searches.values() if search.verdict is Verdict.INVALID]
    figures["configurations"] = sum(search.explored for search in searches.values())
    figures["violation"] = [call.as_data() for call in _shown(stuck[0])] if stuck else []
    reasons = [
        _story(key, search)
        for key, search in searches.items()
        if search.verdict is not Verdict.VALID
    ]
    return Result(worst(*(search.verdict for search in searches.values())), tuple(reasons), figures)


def _by_key(found: Sequence[Call]) -> dict[str, list[Call]]:
    """Return the calls of each register: a read that is invoked with a pair names the key that it wants."""
    if not any(call.f == "read" and _is_pair(call.asked) for call in found):
        return {"": list(found)}
    if not all(
        _is_pair(call.asked) and (call.type != "ok" or _is_pair(call.answered)) for call in found
    ):
        return {"": list(found)}
    keys: dict[str, list[Call]] = {}
    for call in found:
        answered = call.answered[1] if call.type == "ok" else None
        keys.setdefault(repr(call.asked[0]), []).append(
            replace(call, asked=call.asked[1], answered=answered)
        )
    return keys


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


def _problem(history: History, found: Sequence[Call], orphans: list[Call]) -> str | None:
    asked = {
        history.names[f] for chunk in history for f in np.unique(chunk.f[chunk.process != NEMESIS])
    }
    others = sorted(asked - set(FS))
    if others:
        return f"the history has ops that are no register's: {', '.join(others[:10])}"
    if orphans:
        return unexplained(orphans)
    if not any(call.type == "ok" for call in found):
        return "no op on the register was ever ok, so it was not tested"
    return None


def _malformed(found: Sequence[Call]) -> str | None:
    for call in found:
        if call.f == "cas" and not _is_pair(_written(call)):
            return f"a cas needs [old new], found {_written(call)!r} of {call.who}"
    return None


def _unwritten(found: Sequence[Call]) -> list[Call]:
    """Return the ok reads of values that no write or cas was asked for before they returned: no search is needed."""
    written: dict[Hashable, int] = {CAS_REGISTER.initial: -1}
    for call in found:
        if call.f != "read" and call.type != "fail":
            operand: Any = _operand(call)
            written.setdefault(operand[1] if call.f == "cas" else operand, call.invoked)
    return [
        call
        for call in found
        if call.f == "read"
        and call.type == "ok"
        and written.get(_operand(call), call.returned or 0) >= (call.returned or 0)
    ]


def _shown(search: Linearization) -> list[Call]:
    shown = [*search.concurrent, *([search.stuck] if search.stuck else [])]
    return sorted(shown, key=lambda call: call.invoked)[-SHOWN:]


def _story(key: str, search: Linearization) -> str:
    where = f" {key}" if key else ""
    call = search.stuck
    if call is None or search.verdict is Verdict.UNKNOWN:
        return f"whether the register{where} is linearizable: {search.reason}"
    value = call.answered if call.f == "read" else _written(call)
    could = " or ".join(sorted({_printed(state) for state in search.states})[:10])
    return (
        f"no order of the ops explains that {call.who} was ok to {call.f} {_printed(identity(value))} {call.span}: the "
        f"register{where} could then only be {could}"
    )


def _printed(state: Any) -> str:
    return "nil" if state == identity(None) else str(state[1])
