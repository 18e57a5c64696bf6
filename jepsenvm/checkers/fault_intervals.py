"""Fault windows: when which fault was in force, as the nemesis recorded it, and what fell into them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from jepsenvm.history.nemesis_records import DURING, HEAL, HEALED, IN_FORCE, VIEW
from jepsenvm.history.op import Op
from jepsenvm.history.table import History, Ints, Mask
from jepsenvm.history.units import SECOND
from jepsenvm.machines.reachability import components, cut_pairs

ACKNOWLEDGED: Final = ("enqueue", "acquire")
"""The ops of a workload's load whose ok is a promise of the broker: to keep a message, to have handed out a lock."""

CUTS: Final = ("partition", "flapping")
"""The kinds of faults whose grudge sets nodes apart; others only lose or slow what goes over the links of theirs."""

NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True)
class FaultInterval:
    """One fault: its times in nanoseconds (None where it did not come so far) and its proofs."""

    number: int
    fault: dict[str, Any]
    injected: int
    in_force: int | None = None
    heal_began: int | None = None
    healed: int | None = None
    undone: int | None = None
    """When the last node had undone it, which is a little before it was seen healed; None where nobody recorded it."""
    skew_ms: float | None = None
    """Milliseconds between the first node and the last to act."""
    stops_load: bool = False
    """Whether it means to keep every publisher from being confirmed."""
    leader: str | None = None
    """The queue's leader while it was in force, where a broker said so in time."""
    problems: tuple[str, ...] = ()
    """Why the fault, or its healing, is not proven; empty when it is."""

    @property
    def proven(self) -> bool:
        """Whether it was seen to bite, and seen to be gone again."""
        return self.in_force is not None and self.healed is not None and not self.problems

    @property
    def title(self) -> str:
        """The fault as people name it, such as ``fault 1 (partition-random-halves {n1 n2 | n3 n4 n5})``."""
        return f"fault {self.number} ({self.fault.get('name', 'unnamed')} {{{self.fault.get('text', '')}}})"

    @property
    def ended(self) -> int | None:
        """When it was over on every node."""
        return self.healed if self.undone is None else self.undone


def fault_intervals(history: History) -> list[FaultInterval]:
    """Return the fault windows that the nemesis' ops tell of, in order."""
    found: dict[int, dict[str, Any]] = {}
    views: list[Op] = []
    for op in history.nemesis_ops():
        if op.f == VIEW:
            views.append(op)  # some are asked before the fault, and answered at any time
        elif isinstance(op.data, dict) and "window" in op.data:
            _note(found.setdefault(op.data["window"], {"injected": op.time, "problems": ()}), op)
    return [
        _led(FaultInterval(number=number, **fields), views)
        for number, fields in sorted(found.items())
    ]


def _note(fields: dict[str, Any], op: Op) -> None:
    fields.setdefault("fault", op.data.get("fault", {}))
    key = {IN_FORCE: "in_force", HEAL: "heal_began", HEALED: "healed"}.get(op.data.get("phase"))
    if key:
        fields[key] = op.time
    if key == "healed" and op.data.get("fired"):
        fields["undone"] = max(op.data["fired"].values())
    if key == "in_force" and op.data.get("fired"):
        fields["in_force"] = max(op.data["fired"].values())
        fields["skew_ms"] = op.data.get("skew-ms")
        fields["stops_load"] = bool(op.data.get("stops-load"))
    if op.error:
        fields["problems"] = (*fields["problems"], op.error)


def _led(window: FaultInterval, views: Iterable[Op]) -> FaultInterval:
    """Return the window with the leader that the brokers told of while it was in force."""
    for op in views:
        data = op.data if isinstance(op.data, dict) else {}
        if (data.get("window"), data.get("phase")) == (window.number, DURING) and op.time < (
            window.ended or NEVER
        ):
            return replace(window, leader=data.get("proof", {}).get("broker", {}).get("leader"))
    return window


def sides(window: FaultInterval, nodes: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of nodes that a fault sets apart; ``nodes`` are those that it need not name.

    For a cut, a group is who still hears each other, be it through others; for other faults, its victims, and the rest.
    """
    victims = set(window.fault.get("nodes", ()))
    grudge = {node: frozenset(dropped) for node, dropped in window.fault.get("grudge", {}).items()}
    everyone = victims.union(nodes, grudge, *grudge.values())
    if grudge and window.fault.get("kind") in CUTS:
        return list(components(everyone, cut_pairs(grudge)))
    return [tuple(sorted(group)) for group in (victims, everyone - victims) if group]


def acknowledgements(history: History, f_names: Sequence[str] = ACKNOWLEDGED) -> tuple[Ints, Ints]:
    """Return when ops of these f's were ok, in nanoseconds, and the codes of the nodes that said so."""
    times, nodes = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for chunk in history:
        for f in f_names:
            rows = history.mask(chunk, "ok", f)
            times.append(chunk.time[rows])
            nodes.append(chunk.node[rows])
    return np.concatenate(times), np.concatenate(nodes)


def in_force(times: Ints, window: FaultInterval) -> Mask:
    """Return which times lie where the fault was in force on every node, and its healing had not begun."""
    if window.in_force is None:
        return np.zeros(len(times), dtype=bool)
    inside: Mask = (times >= window.in_force) & (
        times < (NEVER if window.heal_began is None else window.heal_began)
    )
    return inside


def attribute(history: History, values: Ints) -> str | None:
    """Return in one sentence which nodes confirmed these values, when, and during which faults; None for no values.

    Where a fault cut the cluster and all of its values were confirmed on one side, the side is named; and the queue's
    leader at that time, where the history knows it.
    """
    if not len(values) or not any(len(chunk.node) and chunk.node.max() >= 0 for chunk in history):
        return None
    times, nodes = _confirmations(history, values)
    if not len(times):
        return None
    by = " and ".join(
        _listed([history.nodes[code] for code in np.unique(nodes) if code >= 0])
        or ["unnamed nodes"]
    )
    span = f"between {times.min() / SECOND:.1f} s and {times.max() / SECOND:.1f} s"
    return f"confirmed by {by} {span}, {'; '.join(_when(history, times, nodes))}"


def _when(history: History, times: Ints, nodes: Ints) -> Iterator[str]:
    """Yield how many of these times lie in which fault, or after which was healed: a broker may settle only then."""
    found = fault_intervals(history)
    if not found:
        yield f"{len(times):,} without any fault"
        return
    inside = {window.number: _within(times, window) for window in found}
    outside = ~np.any(list(inside.values()), axis=0)
    for window in found:
        rows = inside[window.number]
        if count := int(rows.sum()):
            where = _circumstances(
                window, history.nodes, [int(code) for code in np.unique(nodes[rows])]
            )
            yield ", ".join([f"{count:,} during {window.title}", *where])
        later = [other.injected for other in found if other.injected > window.injected]
        ends = min(later, default=NEVER)
        if count := int((outside & (times >= window.injected) & (times < ends)).sum()):
            yield f"{count:,} after fault {window.number} was healed"
    if count := int((times < min(window.injected for window in found)).sum()):
        yield f"{count:,} before any fault"


def _circumstances(
    window: FaultInterval, nodes: Sequence[str], codes: Sequence[int]
) -> Iterator[str]:
    """Yield on which side of a cut these nodes are, if all are on one, and who led the queue, if that is known."""
    confirming = {nodes[code] if code >= 0 else "" for code in codes}
    groups = sides(window, nodes) if window.fault.get("kind") in CUTS else []
    side = (
        next((group for group in groups if confirming <= set(group)), ()) if len(groups) > 1 else ()
    )
    if side:
        yield _side(side, groups)
    if window.leader:
        yield f"led by {window.leader}" + (
            " on another side" if side and window.leader not in side else ""
        )


def _side(side: Sequence[str], groups: Sequence[Sequence[str]]) -> str:
    others = sum(map(len, groups)) - len(side)
    if len(side) > others:
        return "majority side"
    return (
        "minority side" if len(groups) == 2 and len(side) < others else f"side of {' '.join(side)}"
    )


def _within(times: Ints, window: FaultInterval) -> Mask:
    """Return which times lie in a fault, from its injection until it was seen healed."""
    inside: Mask = (times >= window.injected) & (
        times < (NEVER if window.healed is None else window.healed)
    )
    return inside


def _confirmations(history: History, values: Ints) -> tuple[Ints, Ints]:
    times, nodes = [], []
    for chunk in history:
        rows = history.mask(chunk, "ok", "enqueue") & np.isin(chunk.value, values)
        times.append(chunk.time[rows])
        nodes.append(chunk.node[rows])
    return np.concatenate(times), np.concatenate(nodes)


def _listed(names: Sequence[str]) -> list[str]:
    """Return the names so that joining with ' and ' reads well: ``n1, n2 and n3``."""
    ordered = sorted(names)
    return [", ".join(ordered[:-1]), ordered[-1]] if len(ordered) > 1 else ordered
