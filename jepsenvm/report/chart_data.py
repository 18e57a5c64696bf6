"""The charts as data for the browser. A chart that would say nothing is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from jepsenvm.history.table import History, Ints
from jepsenvm.history.units import MILLISECOND
from jepsenvm.report.latencies import Latencies
from jepsenvm.report.message_times import MessageTimes
from jepsenvm.report.op_counts import OpCounts
from jepsenvm.report.presentation import Presentation
from jepsenvm.report.time_bins import TimeBins
from jepsenvm.report.timeline_data import label, seconds

Chart = dict[str, Any]

POINTS: Final[Mapping[str, str]] = {"ok": "ok", "fail": "failed", "info": "in doubt"}
"""The types of ops that have points, and their names for people."""


def throughput_charts(counts: OpCounts, presentation: Presentation) -> Iterator[Chart]:
    """Yield the rate of each kind of op by node, if there was any."""
    for f, done in presentation.plots.items():
        by_node = counts.by_node(f)
        if by_node:
            series = [
                {"name": label(node), "kind": "line", "data": counts.bins.per_second(of_node)}
                for node, of_node in by_node.items()
            ]
            summary = [
                [
                    label(node),
                    f"{int(of_node.sum()):,}",
                    f"{max(counts.bins.per_second(of_node)):,.0f}",
                ]
                for node, of_node in by_node.items()
            ]
            yield {
                "id": f"rate-{label(f)}",
                "title": f"Ops {done} per second, by node",
                "unit": "per second",
                "series": series,
                "table": {"head": ["node", done, "most in one second"], "rows": summary},
            }


def latency_charts(
    latencies: Mapping[str, Latencies], bins: TimeBins, presentation: Presentation
) -> Iterator[Chart]:
    """Yield the latencies of each kind of op that clients waited for."""
    for f, of_f in latencies.items():
        done = presentation.plots.get(f, "ok")
        quantiles = [
            {
                "name": "longest" if percent == 100 else f"p{percent}",
                "kind": "line",
                "data": [None if value is None else milliseconds(value) for value in values],
            }
            for percent, values in of_f.quantiles.items()
        ]
        points = [
            {
                "name": f"{name} ops",
                "kind": "points",
                "type": type_,
                "data": [
                    [seconds(at), milliseconds(latency), count]
                    for at, latency, count in zip(
                        of_f.points[type_].invoked.tolist(),
                        of_f.points[type_].latency.tolist(),
                        of_f.points[type_].count.tolist(),
                        strict=True,
                    )
                ],
            }
            for type_, name in POINTS.items()
            if type_ in of_f.points
        ]
        yield {
            "id": f"latency-{label(f)}",
            "title": f"Time from sending an op until it was {done}",
            "unit": "ms",
            "log": True,
            "series": [*points, *quantiles],
            "note": f"A point stands for one or more ops that were sent in about the same "
            f"{seconds(max(bins.width, bins.width * bins.count // 200)):g} s with about the same "
            "latency. The quantiles count ok ops only.",
        }


def depth_chart(times: MessageTimes, bins: TimeBins) -> Iterator[Chart]:
    """Yield how many messages were confirmed and not delivered yet, if there were any."""
    if times.outside:
        return
    depth = times.depth(bins)
    if not depth.any():
        return
    yield {
        "id": "depth",
        "title": "Messages that were confirmed and had not been delivered",
        "unit": "messages",
        "series": [{"name": "messages", "kind": "area", "data": depth.tolist()}],
        "table": {
            "head": ["most", "at the end of the run"],
            "rows": [[f"{int(depth.max()):,}", f"{int(depth[-1]):,}"]],
        },
        "note": "By the history: the broker was not asked for it.",
    }


def outcome_chart(counts: OpCounts, presentation: Presentation) -> Iterator[Chart]:
    """Yield how many ops were ok, failed or in doubt in each second, if not all were ok."""
    asked = [f for f in presentation.plots if f not in presentation.not_availability]
    totals = {type_: counts.total(asked, type_) for type_ in POINTS}
    if not (totals["fail"].any() or totals["info"].any()):
        return
    yield {
        "id": "outcomes",
        "title": "Ops that were ok, failed or in doubt per second",
        "unit": "per second",
        "stacked": True,
        "series": [
            {
                "name": name,
                "kind": "area",
                "type": type_,
                "data": counts.bins.per_second(totals[type_]),
            }
            for type_, name in POINTS.items()
        ],
        "table": {
            "head": list(POINTS.values()),
            "rows": [[f"{int(total.sum()):,}" for total in totals.values()]],
        },
    }


def violation_data(figures: Mapping[str, Any]) -> list[list[Any]]:
    """Return the ops that contradict each other, each as a bar, from a figure ``violation``."""
    ops = figures.get("violation")
    rows = []
    for op in ops if isinstance(ops, list) else []:
        name = f"process {op['process']} on {op['node']}: {op['f']} {op['type']}"
        rows.append([op["from"], op["to"], label(name)])
    return rows


def milliseconds(nanoseconds: float) -> float:
    """Return milliseconds with four significant digits."""
    return float(f"{nanoseconds / MILLISECOND:.4g}")


def has_times(history: History) -> bool:
    """Return whether ops of a history happened at different times."""
    return any(_differ(chunk.time) for chunk in history)


def _differ(times: Ints) -> bool:
    return bool(len(times)) and bool(np.any(times != times[0]))
