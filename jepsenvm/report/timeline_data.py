"""The timeline as data for the browser: one lane for the run, and one for each node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from jepsenvm.errors import printable_line, shorten
from jepsenvm.history.table import History
from jepsenvm.history.units import SECOND
from jepsenvm.report.fault_evidence import FaultEvidence
from jepsenvm.report.lanes import Bar, fault_bars, leader_bars, phase_bars
from jepsenvm.report.log_excerpts import LogLine
from jepsenvm.report.message_marks import Mark
from jepsenvm.report.op_counts import OpCounts
from jepsenvm.report.silences import Silence

MOST_FAULTS: Final = 400
"""The timeline shows at most this many faults, the first ones."""

MOST_MARKS: Final = 4000
MOST_TICKS: Final = 1500
"""At most this many marks of messages, and of log lines, are on the timeline."""

LABEL_CHARACTERS: Final = 60


def seconds(time: int) -> float:
    """Return a time in seconds with milliseconds."""
    return round(time / SECOND, 3)


def timeline_data(
    history: History,
    evidence: Sequence[FaultEvidence],
    counts: OpCounts,
    acknowledgements: Sequence[str],
    end: int,
) -> dict[str, Any]:
    """Return the lanes with the faults, the leaders, the brokers' views and the rates."""
    shown = evidence[:MOST_FAULTS]
    nodes = sorted(history.nodes)
    faults = [_run_bar(fault, end) for fault in shown]
    return {
        "faults": [_fault_data(fault, end) for fault in shown],
        "run": _bars([*phase_bars(history), *faults]),
        "lanes": [
            {
                "node": label(node),
                "bars": _bars([*fault_bars(shown, node, nodes, end)]),
                "leader": _bars([*leader_bars(shown, node, end)]),
                "views": _views(shown, node),
                "rate": counts.bins.per_second(counts.total(acknowledgements, "ok", node)),
                "silences": [],
                "marks": [],
                "log": [],
            }
            for node in nodes
        ],
    }


def add_silences(data: dict[str, Any], silences: Mapping[str, Sequence[Silence]]) -> None:
    """Add the times in which each node served nothing."""
    for lane in data["lanes"]:
        found = {label(node): gaps for node, gaps in silences.items()}.get(lane["node"], ())
        lane["silences"] = [[seconds(begin), seconds(end)] for begin, end in found]


def add_marks(data: dict[str, Any], marks: Iterable[Mark]) -> int:
    """Add the marks of messages; return how many marks were left out."""
    by_node = {lane["node"]: lane["marks"] for lane in data["lanes"]}
    left_out = 0
    for number, mark in enumerate(marks):
        if number >= MOST_MARKS or label(mark.node) not in by_node:
            left_out += 1
            continue
        by_node[label(mark.node)].append(
            [
                seconds(mark.first),
                seconds(mark.last),
                mark.count,
                mark.kind,
                [label(value) for value in mark.examples],
            ]
        )
    return left_out


def add_log(data: dict[str, Any], lines: Sequence[LogLine], end: int) -> None:
    """Add the notable log lines that were written during the run."""
    by_node = {lane["node"]: lane["log"] for lane in data["lanes"]}
    inside = [line for line in lines if 0 <= line.time <= end and label(line.node) in by_node]
    for line in inside[:MOST_TICKS]:
        by_node[label(line.node)].append([seconds(line.time), line.text])


def label(text: object) -> str:
    """Return a name or a value for a chart: one short line without control characters."""
    return shorten(printable_line(text), LABEL_CHARACTERS)


def _fault_data(fault: FaultEvidence, end: int) -> dict[str, Any]:
    interval = fault.interval
    return {
        "number": interval.number,
        "title": interval.title,
        "begin": seconds(interval.injected),
        "end": seconds(end if interval.ended is None else interval.ended),
        "proven": interval.proven,
    }


def _run_bar(fault: FaultEvidence, end: int) -> Bar:
    interval = fault.interval
    until = end if interval.ended is None else interval.ended
    name = str(interval.fault.get("name", "fault"))
    proven = "proven" if interval.proven else "NOT proven"
    detail = f"{interval.title}, {proven}"
    return Bar(interval.injected, until, name, "fault", detail, interval.number)


def _bars(bars: Sequence[Bar]) -> list[list[Any]]:
    """Return bars with a track each, so that no two bars of a track overlap."""
    tracks: list[int] = []
    rows = []
    for bar in sorted(bars, key=lambda bar: (bar.kind != "phase", bar.begin)):
        free = [track for track, until in enumerate(tracks) if until <= bar.begin]
        track = free[0] if free else len(tracks)
        tracks[track : track + 1] = [bar.end]
        times = [seconds(bar.begin), seconds(bar.end)]
        rows.append([*times, label(bar.label), bar.kind, printable_line(bar.detail), track])
    return rows


def _views(evidence: Sequence[FaultEvidence], node: str) -> list[list[Any]]:
    """Return what a node reported about the cluster, and what was measured of its processes."""
    found: list[list[Any]] = []
    for fault in evidence:
        for view in fault.views:
            if node in view.nodes:
                state = {True: "whole", False: "part", None: "silent"}[view.whole[node]]
                found.append([seconds(view.time), state, printable_line(view.nodes[node])])
    return sorted(found)
