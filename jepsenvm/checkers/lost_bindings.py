"""Bindings that the run declared and that a node does not list after the drain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jepsenvm.checkers.fault_intervals import fault_intervals
from jepsenvm.checkers.own_restarts import restarted_by_recovery
from jepsenvm.checkers.vanished_queue import vanished_queues
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.checkers.wording import counted, listed
from jepsenvm.errors import shorten
from jepsenvm.history.nemesis_records import BINDINGS
from jepsenvm.history.table import History

NAMED: Final = 3
"""A reason names this many missing bindings."""


@dataclass(frozen=True)
class LostBindings:
    """What became of the bindings."""

    verdict: Verdict
    reasons: Sequence[str]
    figures: Mapping[str, Any] = field(default_factory=dict)


def lost_bindings(history: History) -> LostBindings:
    """Judge the record of the bindings after the drain.

    A missing binding is invalid: the broker confirmed it, and nothing deletes it but its queue. It
    is unknown if there was no fault, because somebody may have deleted it, and if a node did not
    list its bindings. The bindings of a queue that disappeared went with it.
    """
    records = [op.data for op in history.nemesis_ops() if op.f == BINDINGS]
    data = records[-1] if records else None
    if not isinstance(data, dict):
        return LostBindings(Verdict.UNKNOWN, ["the bindings were not looked for after the drain"])
    gone = set(vanished_queues(history))
    missing = [entry for entry in _entries(data) if entry.get("queue") not in gone]
    of_gone = len(_entries(data)) - len(missing)
    count = data["missing-count"] - of_gone if missing else 0
    figures = {"binding-count": data["declared"], "missing-binding-count": count}
    figures["missing-bindings"] = missing
    reasons, verdict = [], Verdict.VALID
    if silent := data["silent"]:
        verdict = Verdict.UNKNOWN
        reasons.append(
            f"{listed(silent)} did not list the bindings: {shorten(next(iter(silent.values())))}"
        )
    if missing:
        caused = bool(fault_intervals(history) or restarted_by_recovery(history))
        verdict = Verdict.INVALID if caused else Verdict.UNKNOWN
        reasons.insert(0, _missing_reason(missing, count, caused=caused))
    return LostBindings(verdict, reasons, figures)


def _entries(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [entry for entry in data["missing"] if isinstance(entry, dict)]


def _missing_reason(missing: Sequence[Mapping[str, Any]], count: int, *, caused: bool) -> str:
    texts = [
        f"{entry['queue']} to {entry['exchange']} with key {entry['key']!r} "
        f"(not on {listed(entry['nodes'])})"
        for entry in missing[:NAMED]
    ]
    more = f" and {count - len(texts):,} more" if count > len(texts) else ""
    excuse = "" if caused else "; there was no fault, so somebody may have deleted it"
    what = counted(count, "confirmed binding is", "confirmed bindings are")
    return shorten(f"{what} missing: {'; '.join(texts)}{more}{excuse}", 1000)
