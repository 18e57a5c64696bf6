"""Fault intervals: which fault was in force when, according to the nemesis' records.

An interval has four times: injected, in force, heal began, healed. A fault is certainly in force
only in the middle part, from the moment at which the last node had acted until its healing began.
Before that, some nodes may not have acted yet; after that, some may already be healed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from jepsenvm.history.nemesis_records import (
    DURING,
    HEAL,
    HEALED,
    IN_FORCE,
    OLD_ISOLATING_KINDS,
    VIEW,
)
from jepsenvm.history.op import Op
from jepsenvm.history.table import History, Ints, Mask
from jepsenvm.machines.reachability import components, cut_pairs

DEFAULT_ACKNOWLEDGEMENTS: Final = ("enqueue", "acquire")
"""The acknowledgements of a history whose workload is not known.

An acknowledgement is an operation whose ok is a promise of the broker: that it keeps a message, or
that it granted a lock. A workload names its own. A dequeue is not one: a broker can deliver what it
has without promising anything, so it does not show that a fault was tested.
"""

NEVER: Final = np.iinfo(np.int64).max
"""A time later than all others."""


@dataclass(frozen=True)
class FaultInterval:
    """One fault: its times in nanoseconds since the run began, and its problems.

    A time is None if the fault did not reach that phase.
    """

    number: int
    fault: dict[str, Any]
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
        return f"fault {self.number} ({name} {{{text}}})"

    @property
    def ended(self) -> int | None:
        """When the fault was over on every node."""
        return self.healed if self.undone is None else self.undone


def fault_intervals(history: History) -> list[FaultInterval]:
    """Return the faults that the nemesis recorded, by number."""
    fields_by_number: dict[int, dict[str, Any]] = {}
    views: list[Op] = []
    for op in history.nemesis_ops():
        if op.f == VIEW:
            # A broker may be asked for its view before a fault, and may answer at any time. So a
            # view never begins an interval.
            views.append(op)
        elif isinstance(op.data, dict) and "window" in op.data:
            first = {"injected": op.time, "problems": ()}
            _add_record(fields_by_number.setdefault(op.data["window"], first), op)
    return [
        _with_leader(FaultInterval(number=number, **fields), views)
        for number, fields in sorted(fields_by_number.items())
    ]


_FIELDS_BY_PHASE: Final = {IN_FORCE: "in_force", HEAL: "heal_began", HEALED: "healed"}


def _add_record(fields: dict[str, Any], op: Op) -> None:
    """Add one phase of a fault to the fields of its interval."""
    fault = fields.setdefault("fault", op.data.get("fault", {}))
    by_kind = fault.get("kind") in OLD_ISOLATING_KINDS
    isolates_nodes = bool(op.data.get("isolates-nodes", by_kind))
    fields["isolates_nodes"] = fields.get("isolates_nodes", False) or isolates_nodes
    key = _FIELDS_BY_PHASE.get(op.data.get("phase"))
    if key:
        fields[key] = op.time
    # A record is written after its evidence was collected, some seconds after the nodes acted. The
    # times that the nodes reported are more accurate. The last node decides.
    if key == "healed" and op.data.get("fired"):
        fields["undone"] = max(op.data["fired"].values())
    if key == "in_force" and op.data.get("fired"):
        fields["in_force"] = max(op.data["fired"].values())
        fields["skew_ms"] = op.data.get("skew-ms")
        fields["stops_load"] = bool(op.data.get("stops-load"))
    if op.error:
        fields["problems"] = (*fields["problems"], op.error)


def _with_leader(interval: FaultInterval, views: Iterable[Op]) -> FaultInterval:
    """Return the interval with the leader that a broker reported while the fault was in force."""
    for op in views:
        data = op.data if isinstance(op.data, dict) else {}
        of_interval = (data.get("window"), data.get("phase")) == (interval.number, DURING)
        if of_interval and op.time < (interval.ended or NEVER):
            return replace(interval, leader=data.get("proof", {}).get("broker", {}).get("leader"))
    return interval


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


def acknowledged_ops(history: History, f_names: Sequence[str]) -> tuple[Ints, Ints]:
    """Return the times of the ok ops of these names, and the codes of their nodes.

    Times are in nanoseconds since the run began; the arrays have the same length.
    """
    times, nodes = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for chunk in history:
        for f in f_names:
            rows = history.mask(chunk, "ok", f)
            times.append(chunk.time[rows])
            nodes.append(chunk.node[rows])
    return np.concatenate(times), np.concatenate(nodes)


def in_force(times: Ints, interval: FaultInterval) -> Mask:
    """Return which times are between the last node's action and the beginning of the healing."""
    if interval.in_force is None:
        return np.zeros(len(times), dtype=bool)
    end = NEVER if interval.heal_began is None else interval.heal_began
    inside: Mask = (times >= interval.in_force) & (times < end)
    return inside
