"""Fault windows: when which fault was in force, as the nemesis recorded it, and what fell into them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from jepsenvm.history.op import Op
from jepsenvm.history.table import History, Ints, Mask

SECOND: Final = 1_000_000_000

INJECT: Final = "inject"
IN_FORCE: Final = "in-force"
HEAL: Final = "heal"
HEALED: Final = "healed"
"""The phases of a fault, each a nemesis op: its ``data`` has phase, window, fault, proof and when each node acted."""


@dataclass(frozen=True)
class Window:
    """One fault: its times in nanoseconds (None where it did not come so far) and its proofs."""

    number: int
    fault: dict[str, Any]
    injected: int
    in_force: int | None = None
    heal_began: int | None = None
    healed: int | None = None
    skew_ms: float | None = None
    """Milliseconds between the first node and the last to act."""
    stops_load: bool = False
    """Whether it means to keep every publisher from being confirmed."""
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


def windows(history: History) -> list[Window]:
    """Return the fault windows that the nemesis' ops tell of, in order."""
    found: dict[int, dict[str, Any]] = {}
    for op in history.nemesis_ops():
        if isinstance(op.data, dict) and "window" in op.data:
            _note(found.setdefault(op.data["window"], {"injected": op.time, "problems": ()}), op)
    return [Window(number=number, **fields) for number, fields in sorted(found.items())]


def _note(fields: dict[str, Any], op: Op) -> None:
    fields.setdefault("fault", op.data.get("fault", {}))
    key = {IN_FORCE: "in_force", HEAL: "heal_began", HEALED: "healed"}.get(op.data["phase"])
    if key:
        fields[key] = op.time
    if key == "in_force" and op.data.get("fired"):
        fields["in_force"] = max(op.data["fired"].values())
        fields["skew_ms"] = op.data.get("skew-ms")
        fields["stops_load"] = bool(op.data.get("stops-load"))
    if op.error:
        fields["problems"] = (*fields["problems"], op.error)


def acknowledged_within(history: History, window: Window, f: str = "enqueue") -> int:
    """Return how many ops of this f were acknowledged while the fault was in force on every node."""
    if window.in_force is None:
        return 0
    times = history.times("ok", f)
    end = window.heal_began if window.heal_began is not None else np.iinfo(np.int64).max
    return int(((times >= window.in_force) & (times < end)).sum())


def attribute(history: History, values: Ints) -> str | None:
    """Return in one sentence which nodes confirmed these values, when, and during which faults; None for no values."""
    if not len(values) or not any(len(chunk.node) and chunk.node.max() >= 0 for chunk in history):
        return None
    times, nodes = _confirmations(history, values)
    if not len(times):
        return None
    by = " and ".join(_listed([history.nodes[code] for code in np.unique(nodes) if code >= 0]) or ["unnamed nodes"])
    span = f"between {times.min() / SECOND:.1f} s and {times.max() / SECOND:.1f} s"
    return f"confirmed by {by} {span}, {'; '.join(_when(times, windows(history)))}"


def _when(times: Ints, found: Sequence[Window]) -> Iterator[str]:
    """Yield how many of these times lie in which fault, or after which was healed: a broker may settle only then."""
    if not found:
        yield f"{len(times):,} without any fault"
        return
    inside = {window.number: _within(times, window) for window in found}
    outside = ~np.any(list(inside.values()), axis=0)
    for window in found:
        if count := int(inside[window.number].sum()):
            yield f"{count:,} during {window.title}"
        later = [other.injected for other in found if other.injected > window.injected]
        ends = min(later, default=np.iinfo(np.int64).max)
        if count := int((outside & (times >= window.injected) & (times < ends)).sum()):
            yield f"{count:,} after fault {window.number} was healed"
    if count := int((times < min(window.injected for window in found)).sum()):
        yield f"{count:,} before any fault"


def _within(times: Ints, window: Window) -> Mask:
    """Return which times lie in a fault, from its injection until it was seen healed."""
    end = window.healed if window.healed is not None else np.iinfo(np.int64).max
    inside: Mask = (times >= window.injected) & (times < end)
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
