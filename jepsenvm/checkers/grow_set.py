"""grow-set: every acknowledged element must be in the set when it is read for the last time."""

from __future__ import annotations

from typing import Any

import numpy as np

from jepsenvm.checkers.client_calls import Call, client_calls
from jepsenvm.checkers.total_queue import SHOWN
from jepsenvm.checkers.value_key import value_key
from jepsenvm.checkers.verdict import Result, Verdict, graded
from jepsenvm.checkers.wording import counted
from jepsenvm.errors import shown
from jepsenvm.history.table import History, Ints

Elements = dict[tuple[str, str], Any]
"""Elements of a set by their ``value_key``."""


def grow_set(history: History) -> Result:
    """Compare the added elements with the last ok read of the whole set: Jepsen's ``checker/set``.

    Attempted are invoked adds, acknowledged are ok adds. Of the elements that were read, ok were
    attempted and unexpected were not. Lost are acknowledged and not read; recovered are ok and not
    acknowledged. Lost or unexpected elements make it invalid, a missing read unknown.

    Beyond Jepsen: an element that was acknowledged only after the read was invoked, and is not in
    it, is undecided instead of lost, and makes it unknown. The read may have come before it.
    """
    if not history.complete:
        return _unread("the history is cut short, so a later read may be missing")
    last_read = _last_read(history)
    if last_read is None:
        return _unread("no read of the set was ok")
    if not isinstance(last_read.answered, list | tuple | set | frozenset):
        return _unread(f"the last read is not a collection: {shown(last_read.answered)}")
    attempted = _elements(history, history.values("invoke", "add"))
    acknowledged = _elements(history, history.values("ok", "add"))
    acknowledged_before = _elements(history, _acknowledged_before(history, last_read))
    read = {value_key(element): element for element in last_read.answered}
    ok = {key: element for key, element in read.items() if key in attempted}
    missing = _difference(acknowledged, read)
    lost = {key: element for key, element in missing.items() if key in acknowledged_before}
    kinds = {
        "lost": lost,
        "unexpected": _difference(read, attempted),
        "recovered": _difference(ok, acknowledged),
        "undecided": _difference(missing, lost),
    }
    figures: dict[str, Any] = {
        "attempt-count": len(attempted),
        "acknowledged-count": len(acknowledged),
        "ok-count": len(ok),
    }
    for kind, elements in kinds.items():
        figures[f"{kind}-count"] = len(elements)
        figures[kind] = list(elements.values())[:SHOWN]
    verdict = graded(
        invalid=bool(kinds["lost"] or kinds["unexpected"]), unknown=bool(kinds["undecided"])
    )
    return Result(verdict, _reasons(figures), figures)


def _unread(reason: str) -> Result:
    return Result(Verdict.UNKNOWN, (f"the set cannot be judged: {reason}",), {})


def _reasons(figures: dict[str, Any]) -> tuple[str, ...]:
    explanations = {
        "lost": "acknowledged, but not in the last read",
        "unexpected": "in the last read, but never added",
        "undecided": "acknowledged after the last read began, and not in it",
    }
    return tuple(
        f"{counted(figures[f'{kind}-count'], 'element is', 'elements are')} {kind}: {explanation}"
        for kind, explanation in explanations.items()
        if figures[f"{kind}-count"]
    )


def _last_read(history: History) -> Call | None:
    """Return the ok read that completed last; its invocation need not be recorded."""
    calls, orphans = client_calls(history, "read")
    return max(
        (call for call in (*calls, *orphans) if call.type == "ok"),
        key=lambda call: call.returned or 0,
        default=None,
    )


def _acknowledged_before(history: History, read: Call) -> Ints:
    """Return the elements that were acknowledged before the read was invoked."""
    parts, rows_before = [np.empty(0, dtype=np.int64)], 0
    for chunk in history:
        rows = np.flatnonzero(history.mask(chunk, "ok", "add") & chunk.has_value)
        parts.append(chunk.value[rows[rows + rows_before < read.invoked]])
        rows_before += len(chunk.type)
    return np.concatenate(parts)


def _elements(history: History, codes: Ints) -> Elements:
    elements = (history.label(code) for code in np.unique(codes).tolist())
    return {value_key(element): element for element in elements}


def _difference(elements: Elements, excluded: Elements) -> Elements:
    return {key: element for key, element in elements.items() if key not in excluded}
