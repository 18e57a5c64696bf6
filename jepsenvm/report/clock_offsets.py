"""Clock offsets: how far each node's clock was ahead of the controller's, whenever it was read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jepsenvm.history.nemesis_records import BEFORE, INJECT
from jepsenvm.history.op import Op
from jepsenvm.report.stored_run import StoredRun

Offsets = Mapping[str, list[tuple[int, float]]]
"""By node: times in nanoseconds since the run began, ascending, with the offset in seconds."""


def clock_offsets(run: StoredRun) -> Offsets:
    """Return the offsets that were read before the load and around each clock fault."""
    found = {node: [(0, offset)] for node, offset in run.clock_offsets.items()}
    for time, clocks in _readings(run.history.nemesis_ops()):
        for node, readings in clocks.items():
            if isinstance(readings, list):
                numbers = [float(one) for one in readings if isinstance(one, int | float)]
                found.setdefault(str(node), []).extend((time, number) for number in numbers)
    return {node: sorted(found[node], key=lambda reading: reading[0]) for node in sorted(found)}


def _readings(ops: list[Op]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the time and the readings of each record that has some."""
    injected: dict[Any, int] = {}
    for op in ops:
        data = op.data if isinstance(op.data, dict) else {}
        number = data.get("window")
        if data.get("phase") == INJECT and isinstance(number, int):
            injected[number] = op.time
        proof = data.get("proof")
        for moment, evidence in (proof if isinstance(proof, dict) else {}).items():
            clocks = evidence.get("clocks") if isinstance(evidence, dict) else None
            if isinstance(clocks, dict):
                # What was read before a fault is recorded only when the fault is in force.
                is_before = moment == BEFORE and isinstance(number, int)
                yield injected.get(number, op.time) if is_before else op.time, clocks
