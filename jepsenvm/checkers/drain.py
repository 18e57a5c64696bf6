"""Drains: whether the queue is proven to be empty, and whether the drained values are understood.

A drain of jepsenvm records its deliveries as dequeues of their own and has no value. A drain of
Jepsen has a collection of the drained values, and ``history.table`` makes a dequeue of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np

from jepsenvm.checkers.op_columns import all_ops, ops_with_value
from jepsenvm.checkers.value_key import value_key
from jepsenvm.errors import shown
from jepsenvm.history.op import Op
from jepsenvm.history.table import History, Ints, drained_values


def drain_problem(history: History, *, required: bool) -> str | None:
    """Return why the queue is not proven to be empty, or None if it is.

    ``required``  whether a history without any drain has this problem.
    """
    if not history.complete:
        return "the history is cut short"
    invoked, ok = history.count("invoke", "drain"), history.count("ok", "drain")
    if history.count("info", "drain"):
        return "a drain crashed"
    if invoked > ok + history.count("fail", "drain"):
        return "a drain did not finish"
    if ok == 0 and invoked:
        return "every drain failed"
    if ok == 0 and required:
        return "the queue was never drained"
    return next(_values_not_understood(history), None)


def misread_values(history: History) -> Ints:
    """Return the codes of drained values that are no messages, but hold some in another form.

    If the messages of a history are no collections but the elements of a drain are, the elements
    are groups of messages, such as one vector for each partition.
    """
    none = np.empty(0, dtype=np.int64)
    if history.labels is None or not history.count("ok", "drain"):
        return none
    sent = (history.label(code) for code in history.values("invoke", "enqueue").tolist())
    if any(map(_is_no_plain_message, sent)):
        return none
    keys = {
        value_key(element)
        for op in ok_drains(history)
        for element in drained_values(op) or ()
        if _is_no_plain_message(element)
    }
    if not keys:
        return none
    codes = [
        code
        for code, label in enumerate(history.labels)
        if _is_no_plain_message(label) and value_key(label) in keys
    ]
    return np.array(codes, dtype=np.int64)


def _values_not_understood(history: History) -> Iterator[str]:
    """Yield why a drain's value does not show what was drained."""
    if history.labels is None:
        return
    for op in ok_drains(history):
        is_own = isinstance(op.data, dict) and "received" in op.data
        nothing_recorded = op.value is None and not is_own and not _dequeued_meanwhile(history)
        if nothing_recorded or (op.value is not None and drained_values(op) is None):
            yield f"the value of a drain is not a collection of messages: {shown(op.value)}"
    if len(misread := misread_values(history)):
        element = shown(history.label(int(misread[0])))
        yield f"the elements of a drain are not messages as they were sent: {element}"


def ok_drains(history: History, f: str = "drain") -> Iterator[Op]:
    """Yield the ok drains, or the ok ops of another ``f`` that has few.

    Finding them costs a pass over the history.
    """
    if not history.count("ok", f):
        return
    for chunk in history:
        for row in np.flatnonzero(history.mask(chunk, "ok", f)).tolist():
            value = history.label(chunk.value[row]) if chunk.has_value[row] else None
            yield Op("ok", f, value, data=chunk.data(row))


def _dequeued_meanwhile(history: History) -> bool:
    """Return whether dequeues are recorded between the beginning and the end of the drains."""
    drains = all_ops(history, "drain").row
    dequeued = ops_with_value(history, "ok", "dequeue").row
    return bool(((dequeued > drains.min()) & (dequeued < drains.max())).any())


def _is_no_plain_message(value: Any) -> bool:
    """Return whether a value is nil or a collection."""
    return value is None or (
        isinstance(value, Sequence | Set | Mapping) and not isinstance(value, str | bytes)
    )
