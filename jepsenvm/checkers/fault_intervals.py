"""Fault intervals: which fault was in force when, according to the nemesis' records.

An interval has four times: injected, in force, heal began, healed. A fault is certainly in force
only in the middle part, from the moment at which the last node had acted until its healing began.
Before that, some nodes may not have acted yet; after that, some may already be healed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.fault_records import (
    Record,
    fault_numbers,
    is_names,
    read_record,
    records_by_number,
)
from jepsenvm.errors import shorten
from jepsenvm.history.nemesis_records import (
    BEFORE,
    DURING,
    HEAL,
    HEALED,
    IN_FORCE,
    INJECT,
    VIEW,
)
from jepsenvm.history.op import Op
from jepsenvm.history.table import History
from jepsenvm.history.units import SECOND
from jepsenvm.machines.reachability import components, cut_pairs

NEVER: Final = np.iinfo(np.int64).max
"""A time later than all others."""

PHASES: Final = (INJECT, IN_FORCE, HEAL, HEALED)
"""The phases of a fault, in the order in which the nemesis records them."""

CLOCK_ERROR: Final = SECOND // 2
"""Nanoseconds by which the time that a node reports may lie outside of the fault's records.

A node reports by its own clock, which the controller knows only as exactly as SSH answers. The
records of a fault by hand reach the run's history a moment after they were made.
"""

TITLE_CHARACTERS: Final = 200
"""A title has at most this many characters of a fault's text."""


@dataclass(frozen=True)
class FaultInterval:
    """One fault: its times in nanoseconds since the run began, and its problems.

    A time is None if the fault did not reach that phase.
    """

    number: int
    fault: Mapping[str, Any]
    """The fault as the nemesis recorded it: kind, name, text, nodes, grudge."""
    injected: int
    in_force: int | None = None
    """When the last node had acted."""
    heal_began: int | None = None
    healed: int | None = None
    """When the fault was observed to be gone."""
    undone: int | None = None
    """When the last node had undone the fault, shortly before ``healed``; None if not recorded."""
    skew_ms: float | None = None
    """Milliseconds between the first node and the last to act."""
    stops_load: bool = False
    """Whether the fault is expected to keep every publisher from being confirmed."""
    isolates_nodes: bool = False
    """Whether the fault cuts all traffic between groups of nodes."""
    stops_replicas: bool = False
    """Whether a queue confirms nothing if all of its replicas are on the fault's nodes."""
    endangers: int | None = None
    """Nanoseconds before the fault in which something must have been acknowledged, or there was
    nothing that it could lose; None if that does not matter."""
    leader_before: str | None = None
    members_before: tuple[str, ...] = ()
    """The queue's leader and the nodes with a replica, as a broker was asked for them before the
    fault. A classic queue has no members."""
    leader: str | None = None
    """The queue's leader while the fault was in force, if a broker reported it in time."""
    problems: tuple[str, ...] = ()
    """Why the fault, or its healing, is not proven; empty if it is proven."""

    @property
    def proven(self) -> bool:
        """Whether the fault was measured to be in force, and later to be gone."""
        return self.in_force is not None and self.healed is not None and not self.problems

    @property
    def title(self) -> str:
        """The fault for people: ``fault 1 (partition-random-halves {n1 n2 | n3 n4 n5})``."""
        name, text = self.fault.get("name", "unnamed"), self.fault.get("text", "")
        return shorten(f"fault {self.number} ({name} {{{text}}})", TITLE_CHARACTERS)

    @property
    def ended(self) -> int | None:
        """When the fault was over on every node."""
        return self.healed if self.undone is None else self.undone


def fault_intervals(history: History) -> list[FaultInterval]:
    """Return the faults that the nemesis recorded, by number.

    Records that contradict each other or cannot be read are problems of their fault, which is then
    not proven. Records without a number make one fault with the number 0, which is never proven.
    """
    nemesis_ops = history.nemesis_ops()
    views = [op for op in nemesis_ops if op.f == VIEW]
    return [
        _with_replicas(_with_leader(_interval(number, records), views), views)
        for number, records in sorted(records_by_number(nemesis_ops).items())
    ]


def _interval(number: int, ops: Sequence[Op]) -> FaultInterval:
    """Return the interval of one fault from its records, in the order of recording."""
    records = [read_record(op) for op in ops]
    by_phase = {record.phase: record for record in records if record.phase in PHASES}
    times = {phase: record.time for phase, record in by_phase.items()}
    in_force, healed = by_phase.get(IN_FORCE), by_phase.get(HEALED)
    injected = times.get(INJECT, records[0].time)
    interval = FaultInterval(
        number=number,
        fault=next((record.fault for record in records if record.fault), {}),
        injected=injected,
        in_force=times.get(IN_FORCE),
        heal_began=times.get(HEAL),
        healed=times.get(HEALED),
        isolates_nodes=any(record.isolates_nodes for record in records),
        problems=tuple(_problems(records, by_phase)),
    )
    # A record is written after its evidence was collected, some seconds after the nodes acted. The
    # times that the nodes reported are more accurate. The last node decides.
    if healed is not None and healed.fired:
        interval = replace(interval, undone=max(healed.fired.values()))
    if in_force is not None and in_force.fired:
        interval = replace(
            interval,
            in_force=max(injected, *in_force.fired.values()),
            skew_ms=in_force.skew_ms,
            stops_load=in_force.stops_load,
            stops_replicas=in_force.stops_replicas,
            endangers=None
            if in_force.endangers_s is None
            else round(in_force.endangers_s * SECOND),
        )
    return interval


def _problems(records: Sequence[Record], by_phase: Mapping[str, Record]) -> Iterator[str]:
    """Yield why a fault with these records is not proven."""
    for record in records:
        yield from record.problems
    phases = [record.phase for record in records if record.phase in PHASES]
    yield from (f"it was recorded twice: {name}" for name in PHASES if phases.count(name) > 1)
    if phases != sorted(phases, key=PHASES.index):
        yield f"its phases are recorded in a wrong order: {', '.join(phases)}"
    times = [record.time for record in records]
    if times != sorted(times):
        yield "the times of its records go backwards"
    faults = [record.fault for record in records if record.fault]
    names = {(fault.get("kind"), fault.get("name"), fault.get("text")) for fault in faults}
    if len(names) > 1:
        yield "two faults have this number"
    if by_phase and not any(record.problems for record in records):
        last = max(map(PHASES.index, by_phase))
        # Without the record that it was in force, it is not proven in any case.
        missing = {INJECT, HEAL}.intersection(PHASES[:last]) - by_phase.keys()
        yield from (f"it has no record: {name}" for name in sorted(missing))
    yield from _implausible_times(by_phase, acted=IN_FORCE, after=INJECT)
    yield from _implausible_times(by_phase, acted=HEALED, after=HEAL)


def _implausible_times(by_phase: Mapping[str, Record], *, acted: str, after: str) -> Iterator[str]:
    """Yield the nodes that report to have acted outside of the time between two records."""
    if acted not in by_phase or after not in by_phase:
        return
    earliest = by_phase[after].time - CLOCK_ERROR
    latest = by_phase[acted].time + CLOCK_ERROR
    for node, time in by_phase[acted].fired.items():
        if not earliest <= time <= latest:
            yield (
                f"{node} reports to have acted at {time / SECOND:.3f} s, outside of the records "
                f"{after} and {acted}"
            )


def _with_leader(interval: FaultInterval, views: Iterable[Op]) -> FaultInterval:
    """Return the interval with the leader that a broker reported while the fault was in force."""
    for op in views:
        data = op.data if isinstance(op.data, dict) else {}
        of_interval = fault_numbers(data) == (interval.number, DURING)
        if of_interval and op.time < (interval.ended or NEVER):
            leader = _nested(data, "proof", "broker", "leader")
            return replace(interval, leader=leader if isinstance(leader, str) else None)
    return interval


def _with_replicas(interval: FaultInterval, views: Iterable[Op]) -> FaultInterval:
    """Return the interval with the replicas for which a broker was asked before the fault."""
    for op in views:
        data = op.data if isinstance(op.data, dict) else {}
        if fault_numbers(data) == (interval.number, BEFORE):
            leader = _nested(data, "proof", "broker", "leader")
            members = _nested(data, "proof", "broker", "members")
            return replace(
                interval,
                leader_before=leader if isinstance(leader, str) else None,
                members_before=tuple(members) if is_names(members) else (),
            )
    return interval


def _nested(data: Any, *keys: str) -> Any:
    """Return what nested maps have under these keys; None if one of them is not a map."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def sides(interval: FaultInterval, nodes: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of nodes that a fault separates.

    If the fault isolates nodes, a group is the nodes that still reach each other, directly or over
    other nodes. For other faults the groups are the victims and the rest. ``nodes`` are the nodes
    of the cluster, which the fault may not all name.
    """
    victims = set(interval.fault.get("nodes", ()))
    grudge = {
        node: frozenset(dropped) for node, dropped in interval.fault.get("grudge", {}).items()
    }
    all_nodes = victims.union(nodes, grudge, *grudge.values())
    if grudge and interval.isolates_nodes:
        return list(components(all_nodes, cut_pairs(grudge)))
    return [tuple(sorted(group)) for group in (victims, all_nodes - victims) if group]
