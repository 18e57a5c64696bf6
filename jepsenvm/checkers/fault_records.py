"""Fault records: what the nemesis wrote about each phase of a fault, read without trust.

A history may come from an older version, a crashed run or another program. Whatever is not of the
expected form becomes a problem of its record, and a fault with a problem is not proven.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.errors import shown
from jepsenvm.history.nemesis_records import (
    OLD_ISOLATING_KINDS,
    START,
    STOP,
    VIEW,
)
from jepsenvm.history.op import Op

NO_NUMBER: Final = 0
"""The number of the fault that collects the records without a number. Real faults begin at 1."""


@dataclass(frozen=True)
class Record:
    """One phase of one fault."""

    phase: str
    time: int
    """When it was recorded, in nanoseconds since the run began."""
    fault: Mapping[str, Any]
    """kind, name, text, nodes (a list of names) and grudge (lists of names by name)."""
    fired: Mapping[str, int]
    """The time at which each node acted, in nanoseconds since the run began."""
    skew_ms: float | None
    stops_load: bool
    isolates_nodes: bool
    stops_replicas: bool
    endangers_s: float | None
    problems: Sequence[str]
    """What the nemesis reported, and what cannot be read."""


def records_by_number(nemesis_ops: Iterable[Op]) -> dict[int, list[Op]]:
    """Return the records of each fault by its number, in the order of recording.

    A broker may be asked for its view before a fault, and may answer at any time. So a view is no
    record of a phase. The nemesis of another program records no data, so it has no records either.
    """
    by_number: dict[int, list[Op]] = defaultdict(list)
    for op in nemesis_ops:
        has_number = isinstance(op.data, dict) and "window" in op.data
        if op.f != VIEW and (has_number or (op.f in (START, STOP) and op.data is not None)):
            by_number[_number(op)].append(op)
    return by_number


def fault_numbers(data: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the number and the phase in the data of a record, whatever they are."""
    return data.get("window"), data.get("phase")


def _number(op: Op) -> int:
    """Return the number of a record's fault, or NO_NUMBER if it is not a positive integer."""
    number = op.data.get("window") if isinstance(op.data, dict) else None
    return number if type(number) is int and number > NO_NUMBER else NO_NUMBER


def read_record(op: Op) -> Record:
    """Return one record of the nemesis."""
    problems = [op.error] if op.error else []
    data = op.data if isinstance(op.data, dict) else {}
    phase = data.get("phase")
    if not isinstance(phase, str):
        problems.append(f"the phase of a record is {shown(phase)}")
    if _number(op) == NO_NUMBER:
        problems.append(f"the number of a record is {shown(data.get('window'))}")
    fault = _fault(data.get("fault", {}), problems)
    by_kind = fault.get("kind") in OLD_ISOLATING_KINDS
    return Record(
        phase=phase if isinstance(phase, str) else "",
        time=op.time,
        fault=fault,
        fired=_fired(data.get("fired") or {}, problems),
        skew_ms=_finite(data.get("skew-ms")),
        stops_load=data.get("stops-load") is True,
        isolates_nodes=data.get("isolates-nodes", by_kind) is True,
        stops_replicas=data.get("stops-replicas") is True,
        endangers_s=_finite(data.get("endangers-s")),
        problems=tuple(problems),
    )


def _fault(fault: Any, problems: list[str]) -> Mapping[str, Any]:
    """Return the fault of a record without the keys that are not of the expected form."""
    if not isinstance(fault, dict):
        problems.append(f"the fault of a record is {shown(fault)}")
        return {}
    correct: Mapping[str, bool] = {
        "kind": isinstance(fault.get("kind", ""), str),
        "name": isinstance(fault.get("name", ""), str),
        "text": isinstance(fault.get("text", ""), str),
        "nodes": is_names(fault.get("nodes", [])),
        "grudge": _is_grudge(fault.get("grudge", {})),
    }
    problems.extend(
        f"the key {key} of its fault is {shown(fault[key])}"
        for key, is_correct in correct.items()
        if not is_correct
    )
    return {key: value for key, value in fault.items() if correct.get(key, True)}


def is_names(names: Any) -> bool:
    """Return whether a value is a list of names."""
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _is_grudge(grudge: Any) -> bool:
    return isinstance(grudge, dict) and all(map(is_names, grudge.values()))


def _fired(fired: Any, problems: list[str]) -> Mapping[str, int]:
    """Return the times at which nodes acted, without those that are no times."""
    if not isinstance(fired, dict):
        problems.append(f"the times at which nodes acted are {shown(fired)}")
        return {}
    times = {}
    for node, time in fired.items():
        if (finite := _finite(time)) is None:
            problems.append(f"the time at which {node} acted is {shown(time)}")
        else:
            times[node] = int(finite)
    return times


def _finite(number: Any) -> float | None:
    """Return a number, or None if it is no number, not finite, or far larger than any time."""
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    return number if is_number and abs(number) < 2**63 and math.isfinite(number) else None
