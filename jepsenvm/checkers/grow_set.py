"""grow-set: what was added must be in the set when it is read last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from jepsenvm.checkers.calls import Call, calls
from jepsenvm.checkers.model import identity
from jepsenvm.checkers.total_queue import SHOWN
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.table import History, Ints

Values = dict[tuple[str, str], Any]
"""Values by what tells them apart."""


def grow_set(history: History) -> Result:
    """Compare what was added with the last ok read of the whole set; Jepsen's ``checker/set``.

    Attempts are invoked adds, acknowledged are ok adds. ok = read that were attempted; unexpected = read, never
    attempted; lost = acknowledged, not read; recovered = ok, not acknowledged. Lost or unexpected is invalid; without
    an ok read it is unknown.

    Beyond Jepsen: an add that was acknowledged only after that read was invoked, and is not in it, is undecided, not
    lost, and makes it unknown.
    """
    read = _last_read(history)
    if read is None or not isinstance(read.answered, list | tuple | set | frozenset):
        found = (
            "it was never read"
            if read is None
            else f"its last read is no collection: {read.answered!r}"
        )
        return Result(Verdict.UNKNOWN, (f"what became of the set is not known: {found}",), {})
    attempted = _values(history, history.values("invoke", "add"))
    acknowledged = _values(history, history.values("ok", "add"))
    came = {identity(value): value for value in read.answered}
    missing = _without(acknowledged, came)
    due = _values(history, _acknowledged_before(history, read))
    lost = {key: value for key, value in missing.items() if key in due}
    ok = {key: value for key, value in came.items() if key in attempted}
    kinds = {
        "lost": lost,
        "unexpected": _without(came, attempted),
        "recovered": _without(ok, acknowledged),
        "undecided": _without(missing, lost),
    }
    figures: dict[str, Any] = {
        "attempt-count": len(attempted),
        "acknowledged-count": len(acknowledged),
        "ok-count": len(ok),
    }
    for name, values in kinds.items():
        figures[f"{name}-count"] = len(values)
        figures[name] = list(values.values())[:SHOWN]
    return Result(*_verdict(figures), figures)


def _verdict(figures: dict[str, Any]) -> tuple[Verdict, tuple[str, ...]]:
    said = {
        "lost": "acknowledged, and not in the set when it was read last",
        "unexpected": "in the set, but nobody ever added them",
        "undecided": "acknowledged only after the last read had begun, and not in it",
    }
    counts = {name: figures[f"{name}-count"] for name in said}
    reasons = tuple(f"{count:,} {name}: {said[name]}" for name, count in counts.items() if count)
    invalid = counts["lost"] or counts["unexpected"]
    return Verdict.INVALID if invalid else Verdict.UNKNOWN if counts[
        "undecided"
    ] else Verdict.VALID, reasons


def _last_read(history: History) -> Call | None:
    """Return the read that was ok last; one whose invocation is not recorded stands for itself."""
    found, orphans = calls(history, "read")
    return max(
        (call for call in (*found, *orphans) if call.type == "ok"),
        key=lambda call: call.returned or 0,
        default=None,
    )


def _acknowledged_before(history: History, read: Call) -> Ints:
    """Return the values whose add was ok before the read was invoked."""
    parts, before = [], 0
    for chunk in history:
        rows = np.flatnonzero(history.mask(chunk, "ok", "add") & chunk.has_value)
        parts.append(chunk.value[rows[rows + before < read.invoked]])
        before += len(chunk.type)
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _values(history: History, codes: Ints) -> Values:
    labels: Iterable[Any] = (history.label(code) for code in np.unique(codes).tolist())
    return {identity(value): value for value in labels}


def _without(values: Values, others: Values) -> Values:
    return {key: value for key, value in values.items() if key not in others}
