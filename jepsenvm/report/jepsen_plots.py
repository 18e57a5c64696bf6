"""The plots of Jepsen's store: raw latencies, quantiles of latencies, rates and clock offsets.

Their look is that of Jepsen. Ops are aggregated first, so a plot of ten million ops is drawn as
quickly as one of ten thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jepsenvm.checkers.fault_intervals import fault_intervals
from jepsenvm.errors import shorten
from jepsenvm.history.op import Type
from jepsenvm.history.units import MILLISECOND, SECOND
from jepsenvm.report.clock_offsets import clock_offsets
from jepsenvm.report.figure import plain
from jepsenvm.report.latencies import Latencies, Resolution, latencies
from jepsenvm.report.op_counts import op_counts
from jepsenvm.report.stored_run import StoredRun
from jepsenvm.report.time_bins import TimeBins, last_time

TYPES: Final[Mapping[Type, str]] = {"ok": "#81BFFC", "info": "#FFA400", "fail": "#FF1E90"}
"""The colour of each type of completion."""

QUANTILES: Final[Mapping[int, tuple[str, str]]] = {
    50: ("0.5", "blue"),
    95: ("0.95", "purple"),
    99: ("0.99", "orange"),
    100: ("1", "red"),
}
"""The name and the colour of each quantile, by per cent."""

MARKERS: Final = "o^sDvPX*<>"
"""The marker of each f, in turn."""

REGIONS: Final = ("#E9A4A0", "#A0B1E9", "#E9DCA0", "#C5A0E9", "#A0E9DB", "#E9A0D0")
"""The colour of each nemesis, in turn."""

SHARP: Final = Resolution(columns=900, rows_per_decade=40)
MOST_BINS: Final = 100
"""A line of rates or quantiles has at most this many points."""

NAME_CHARACTERS: Final = 40
NO_TIMES: Final = "the history has no times"
NO_LATENCIES: Final = "no client waited for an op"
NO_OPS: Final = "no op of a client completed"
CLOCKS_READ_ONCE: Final = "the clocks of the nodes were not read during the run"


def jepsen_plots(run: StoredRun) -> Iterator[tuple[str, Figure | str]]:
    """Yield the name of each plot of Jepsen's store with the plot, or with why there is none."""
    end = last_time(run.history)
    bins = TimeBins.over(end, MOST_BINS)
    fs = [f for f in sorted(run.history.names) if f not in run.presentation.not_availability]
    found = latencies(run.history, fs, bins, SHARP)
    no_latencies = NO_LATENCIES if end else NO_TIMES
    yield "latency-raw", _latency_raw(run, found) if found else no_latencies
    yield "latency-quantiles", _latency_quantiles(run, found, bins) if found else no_latencies
    yield "rate", _rate(run, bins)
    yield "clock-skew", clock_skew(run) or CLOCKS_READ_ONCE


def clock_skew(run: StoredRun) -> Figure | None:
    """Return a plot of each node's clock offset; None if no clock was read at several times."""
    offsets = clock_offsets(run)
    if len({time for readings in offsets.values() for time, _ in readings}) < 2:
        return None
    figure, axes = _axes(run, "clock skew", "Skew (s)")
    for node, readings in offsets.items():
        times, seconds = np.array(readings).T
        axes.step(times / SECOND, seconds, where="post", marker=".", label=_name(node))
    _finish(axes, run)
    return figure


def _latency_raw(run: StoredRun, found: Mapping[str, Latencies]) -> Figure:
    figure, axes = _axes(run, "latency (raw)", "Latency (ms)")
    for number, (f, of_f) in enumerate(found.items()):
        for type_, colour in TYPES.items():
            if type_ in of_f.points:
                points = of_f.points[type_]
                axes.plot(
                    points.invoked / SECOND,
                    np.maximum(points.latency, 1) / MILLISECOND,
                    color=colour,
                    marker=MARKERS[number % len(MARKERS)],
                    markersize=2,
                    linestyle="none",
                    label=_name(f"{f} {type_}"),
                )
    axes.set_yscale("log")
    _finish(axes, run)
    return figure


def _latency_quantiles(run: StoredRun, found: Mapping[str, Latencies], bins: TimeBins) -> Figure:
    figure, axes = _axes(run, "latency (quantiles)", "Latency of ok ops (ms)")
    middles = _middles(bins)
    for number, (f, of_f) in enumerate(found.items()):
        for percent, (name, colour) in QUANTILES.items():
            values = np.array(
                [np.nan if value is None else value for value in of_f.quantiles[percent]]
            )
            known = ~np.isnan(values)
            axes.plot(
                middles[known],
                np.maximum(values[known], 1) / MILLISECOND,
                color=colour,
                marker=MARKERS[number % len(MARKERS)],
                markersize=3,
                linewidth=1,
                label=_name(f"{f} {name}"),
            )
    axes.set_yscale("log")
    _finish(axes, run)
    return figure


def _rate(run: StoredRun, bins: TimeBins) -> Figure | str:
    counts = op_counts(run.history, bins)
    if not counts.counts:
        return NO_OPS
    if not last_time(run.history):
        return NO_TIMES
    figure, axes = _axes(run, "rate", "Throughput (hz)")
    fs = sorted({f for f, _, _ in counts.counts})
    for number, f in enumerate(fs):
        for type_, colour in TYPES.items():
            total = counts.total([f], type_)
            if total.any():
                axes.plot(
                    _middles(bins),
                    bins.per_second(total),
                    color=colour,
                    marker=MARKERS[number % len(MARKERS)],
                    markersize=3,
                    linewidth=1,
                    label=_name(f"{f} {type_}"),
                )
    axes.set_ylim(bottom=0)
    _finish(axes, run)
    return figure


def _axes(run: StoredRun, what: str, unit: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=_name(f"{run.title} {what}"), xlabel="Time (s)", ylabel=unit)
    axes.set_xlim(0, last_time(run.history) / SECOND)
    return figure, axes


def _middles(bins: TimeBins) -> npt.NDArray[np.floating[Any]]:
    """Return the middle of each bin in seconds."""
    return (np.arange(bins.count) + 0.5) * (bins.width / SECOND)


def _finish(axes: Axes, run: StoredRun) -> None:
    """Shade the faults, and add the legend."""
    faults = fault_intervals(run.history)
    names = [str(fault.fault.get("name", "unnamed")) for fault in faults]
    colours = _colours(names)
    for fault, name in zip(faults, names, strict=True):
        end = last_time(run.history) if fault.ended is None else fault.ended
        # Matplotlib leaves a label out of the legend if it begins with an underscore.
        label = _name(name) if fault is faults[names.index(name)] else "_again"
        axes.axvspan(
            fault.injected / SECOND, end / SECOND, color=colours[name], alpha=0.3, label=label
        )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small", markerscale=2)


def _colours(names: Sequence[str]) -> dict[str, str]:
    different = list(dict.fromkeys(names))
    return {name: REGIONS[number % len(REGIONS)] for number, name in enumerate(different)}


def _name(text: str) -> str:
    return plain(shorten(text, NAME_CHARACTERS))
