"""Lanes of the timeline: what each node, and the run, was doing when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from jepsenvm.checkers.fault_intervals import FaultInterval, sides
from jepsenvm.history.nemesis_records import RECOVER
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.table import Chunk, History, Ints, Mask
from jepsenvm.history.units import SECOND
from jepsenvm.report.fault_evidence import FaultEvidence


@dataclass(frozen=True)
class Bar:
    """Something that lasted: a fault, a phase of the run, a leader."""

    begin: int
    end: int
    """Nanoseconds since the run began."""
    label: str
    kind: str
    """``fault``, ``side``, ``leader`` or ``phase``."""
    detail: str
    fault: int | None = None


def fault_bars(
    evidence: Sequence[FaultEvidence], node: str, nodes: Sequence[str], end: int
) -> Iterator[Bar]:
    """Yield the faults that touch a node.

    A fault that isolates nodes has the node's side as its label, any other fault its kind, such as
    ``pause``. ``end`` is the time of a fault that was never seen healed.
    """
    for fault in evidence:
        interval = fault.interval
        begin = interval.injected if interval.in_force is None else interval.in_force
        until = end if interval.ended is None else interval.ended
        label = label_on_node(interval, node, nodes)
        if label is None:
            continue
        measured = [
            states.states[node]
            for states in fault.processes
            if begin <= states.time <= until and node in states.states
        ]
        detail = ". ".join([interval.title, *(f"Measured: {text}" for text in measured[:1])])
        kind = "side" if interval.isolates_nodes else "fault"
        yield Bar(begin, until, label, kind, detail, interval.number)


def label_on_node(interval: FaultInterval, node: str, nodes: Sequence[str]) -> str | None:
    """Return what a fault does to a node; None if it does nothing to it."""
    if interval.isolates_nodes:
        groups = sides(interval, nodes)
        side = next((group for group in groups if node in group), (node,))
        if len(groups) == 1:
            return "links cut" if interval.fault.get("grudge", {}).get(node) else None
        others = [other for other in side if other != node]
        return f"with {' '.join(others)}" if others else "alone"
    touched = {*interval.fault.get("nodes", ()), *interval.fault.get("grudge", {})}
    if node not in touched:
        return None
    return str(interval.fault.get("kind") or interval.fault.get("name") or "fault")


def leader_bars(evidence: Sequence[FaultEvidence], node: str, end: int) -> Iterator[Bar]:
    """Yield when a node led the queue by the last report of a broker.

    A report holds until the next one. Brokers are asked around each fault only, and each side of a
    partition may have another leader.
    """
    reports = sorted(
        (view.time, view.leader) for fault in evidence for view in fault.views if view.leader
    )
    for index, (time, leader) in enumerate(reports):
        if leader == node:
            until = reports[index + 1][0] if index + 1 < len(reports) else end
            detail = f"{node} led the queue, as a broker reported at {time / SECOND:.1f} s"
            yield Bar(time, until, "leader", "leader", detail)


_DRAINS: Final = ("drain", "tokens", "end")
_AFTER_LOAD: Final = (*_DRAINS, "dequeue", "read", "probe")
"""Ops that do not show that the load goes on: they belong to the drain, or also occur in it."""


def phase_bars(history: History) -> list[Bar]:
    """Return the phases of the run: load, recovery and drain, as far as they were recorded."""
    load: _Span = None
    drain: _Span = None
    for chunk in history:
        clients = chunk.process != NEMESIS
        # Only the mark that ends a stream is published after the drain began.
        if drain is None:
            load = _extended(load, chunk.time[clients & ~_has_name(history, chunk, _AFTER_LOAD)])
        drain = _extended(drain, chunk.time[clients & _has_name(history, chunk, _DRAINS)])
    bars = [] if load is None else [Bar(*load, "load", "phase", "clients send")]
    for op in history.nemesis_ops():
        seconds = op.data.get("seconds") if isinstance(op.data, dict) else None
        if op.f == RECOVER and isinstance(seconds, int | float):
            begin = max(0, op.time - round(seconds * SECOND))
            bars.append(Bar(begin, op.time, "recovery", "phase", "the cluster has time to recover"))
    if drain is not None:
        bars.append(Bar(*drain, "drain", "phase", "everything is read back"))
    return bars


_Span = tuple[int, int] | None


def _has_name(history: History, chunk: Chunk, names: Sequence[str]) -> Mask:
    codes = [code for code, name in enumerate(history.names) if name in names]
    return np.isin(chunk.f, codes)


def _extended(span: _Span, times: Ints) -> _Span:
    if not len(times):
        return span
    begin, end = int(times.min()), int(times.max())
    return (begin, end) if span is None else (min(span[0], begin), max(span[1], end))
