"""The life of one message: what happened to it, beside the faults, the leaders and the logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.fault_intervals import NEVER, FaultInterval, sides
from jepsenvm.checkers.json_data import json_data
from jepsenvm.checkers.unacknowledged import UNACKNOWLEDGED
from jepsenvm.errors import printable_line, shorten
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import History
from jepsenvm.history.units import SECOND
from jepsenvm.report.fault_evidence import FaultEvidence
from jepsenvm.report.log_excerpts import LogLine, lines_between
from jepsenvm.report.message_times import DELIVERIES

AFTERMATH: Final = 5 * SECOND
"""A fault that was healed at most this long before an op may still explain it."""

MOST_LINES: Final = 30
"""At most this many log lines are in a life."""


@dataclass(frozen=True)
class Event:
    """One thing that happened to the message, or around it."""

    time: int
    """Nanoseconds since the run began."""
    source: str
    """``op``, ``fault``, ``leader``, ``drain`` or ``log``."""
    node: str | None
    text: str


@dataclass(frozen=True)
class Life:
    """All events of one message in order, and how the checkers count it."""

    value: Any
    counts_as: Sequence[str]
    """Such as ``lost``; see ``docs/verdicts.md``."""
    sentence: str
    """Why it counts so."""
    events: Sequence[Event]

    def as_data(self) -> dict[str, Any]:
        """Return JSON-able data; times are in seconds since the run began."""
        events = [{**asdict(event), "time": round(event.time / SECOND, 6)} for event in self.events]
        return {
            "value": json_data(self.value),
            "counts-as": list(self.counts_as),
            "sentence": self.sentence,
            "events": events,
        }


def ops_by_code(history: History, codes: Sequence[int]) -> dict[int, list[Op]]:
    """Return the clients' ops with each of these values, in the order of recording.

    Values are given by their codes in the history (see ``History.label``).
    """
    found: dict[int, list[Op]] = {code: [] for code in codes}
    for chunk in history:
        selected = np.isin(chunk.value, list(found)) & chunk.has_value & (chunk.process != NEMESIS)
        rows = np.flatnonzero(selected)
        for code, op in zip(chunk.value[rows].tolist(), history.ops_at(chunk, rows), strict=True):
            found[code].append(op)
    return found


def drain_events(history: History) -> list[Event]:
    """Return when the drains began and how they ended."""
    found = []
    for chunk in history:
        if "drain" in history.names:
            rows = np.flatnonzero(chunk.f == history.names.index("drain"))
            found += [
                Event(op.time, "drain", None, _drain_text(op)) for op in history.ops_at(chunk, rows)
            ]
    return found


def _drain_text(op: Op) -> str:
    return {
        "invoke": "the drain begins",
        "ok": "the drain ends: the queue is proven to be empty",
        "fail": f"the drain fails: {shorten(op.error or 'no reason is recorded', 200)}",
        "info": f"the drain is in doubt: {shorten(op.error or 'no reason is recorded', 200)}",
    }[op.type]


def is_delivery(op: Op) -> bool:
    """Return whether an op says that the message came back."""
    return op.f in DELIVERIES and op.type == "ok"


def is_corrupted(op: Op) -> bool:
    """Return whether an op delivered a body that differs from the sent body."""
    return isinstance(op.data, dict) and op.data.get("corrupted") is True


def consumed_nothing(op: Op) -> bool:
    """Return whether a delivery was given back to the queue: returned, or never acknowledged."""
    data = op.data if isinstance(op.data, dict) else {}
    return data.get("returned") is True or (op.type == "fail" and data.get(UNACKNOWLEDGED) is True)


def events(
    ops: Sequence[Op],
    evidence: Sequence[FaultEvidence],
    lines: Sequence[LogLine],
    drains: Sequence[Event],
    nodes: Sequence[str],
) -> list[Event]:
    """Return the events of a message with these ops, and what happened around them, in order."""
    if not ops:
        return []
    begin, end = ops[0].time, _last_interesting(ops, evidence)
    found = [Event(op.time, "op", op.node, _op_text(op)) for op in ops if not _is_echo(op, ops)]
    found += drains
    for fault in evidence:
        if _touches(fault.interval, begin, end):
            found += _fault_events(fault.interval, nodes)
    found += _leader_events(evidence, begin, end)
    for line in lines_between(lines, begin - SECOND, end + SECOND, MOST_LINES):
        found.append(Event(line.time, "log", line.node, line.text))
    return sorted(found, key=lambda event: event.time)


def fault_at(evidence: Sequence[FaultEvidence], time: int) -> FaultInterval | None:
    """Return a fault that was injected and not yet healed at a moment; None if there was none."""
    for fault in evidence:
        interval = fault.interval
        if interval.injected <= time < (NEVER if interval.healed is None else interval.healed):
            return interval
    return None


def leader_before(evidence: Sequence[FaultEvidence], time: int) -> tuple[str, int] | None:
    """Return the queue's leader as last reported before a moment, and when; None if unknown."""
    reports = [
        (view.time, view.leader)
        for fault in evidence
        for view in fault.views
        if view.leader and view.time <= time
    ]
    return (max(reports)[1], max(reports)[0]) if reports else None


def side_of(interval: FaultInterval, node: str | None, nodes: Sequence[str]) -> tuple[str, ...]:
    """Return the nodes on a node's side of a fault that isolates nodes; empty otherwise."""
    groups = sides(interval, nodes) if interval.isolates_nodes else []
    return next((group for group in groups if node in group and len(groups) > 1), ())


def _last_interesting(ops: Sequence[Op], evidence: Sequence[FaultEvidence]) -> int:
    """Return the end of the life: its last op, or the healing of the fault that met an op."""
    end = ops[-1].time
    for op in ops:
        interval = fault_at(evidence, op.time)
        if interval is not None and interval.healed is not None:
            end = max(end, interval.healed)
    return end


def _is_echo(op: Op, ops: Sequence[Op]) -> bool:
    """Return whether an op only repeats another one: a delivery is invoked as it arrives."""
    return op.f in DELIVERIES and op.type == "invoke" and any(map(is_delivery, ops))


def _touches(interval: FaultInterval, begin: int, end: int) -> bool:
    healed = NEVER - AFTERMATH if interval.healed is None else interval.healed
    return interval.injected <= end and begin <= healed + AFTERMATH


def _fault_events(interval: FaultInterval, nodes: Sequence[str]) -> Iterator[Event]:
    groups = sides(interval, nodes) if interval.isolates_nodes else []
    split = " | ".join(" ".join(group) for group in groups)
    text = f"{interval.title} is injected" + (f", sides {split}" if len(groups) > 1 else "")
    yield Event(interval.injected, "fault", None, text)
    if interval.in_force is not None:
        yield Event(interval.in_force, "fault", None, f"fault {interval.number} is in force")
    if interval.ended is not None:
        yield Event(interval.ended, "fault", None, f"fault {interval.number} is healed")


def _leader_events(evidence: Sequence[FaultEvidence], begin: int, end: int) -> Iterator[Event]:
    for fault in evidence:
        for view in fault.views:
            if begin - AFTERMATH <= view.time <= end + AFTERMATH:
                leader = view.leader or "unknown"
                text = f"a broker reports the queue's leader: {leader}"
                yield Event(view.time, "leader", view.leader, text)


_ENDS: Final[Mapping[tuple[str, str], str]] = {
    ("enqueue", "invoke"): "is published",
    ("enqueue", "ok"): "is confirmed",
    ("enqueue", "fail"): "is refused, so it was not accepted",
    ("enqueue", "info"): "is in doubt: nobody knows whether it was accepted",
    ("dequeue", "ok"): "is delivered",
    ("read", "ok"): "is read",
    ("dequeue", "fail"): "was not delivered",
}


def _op_text(op: Op) -> str:
    text = _ENDS.get((op.f, op.type), f"{printable_line(op.f)} {op.type}")
    if consumed_nothing(op):
        text = "goes back to the queue: its consumer did not keep it"
    data = op.data if isinstance(op.data, dict) else {}
    details = [f"process {op.process}"]
    if op.offset is not None:
        details.append(f"offset {op.offset}")
    if data.get("redelivered") is True:
        details.append("flagged as redelivered")
    if op.error:
        details.append(shorten(op.error, 200))
    return f"{text} ({', '.join(details)})"
