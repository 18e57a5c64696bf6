"""Plots of a run as files: rates, latencies, losses and violations, with the faults shaded.

The report has interactive charts instead. These plots are for tickets and READMEs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jepsenvm.checkers.fault_intervals import fault_intervals
from jepsenvm.checkers.op_pairs import pairs
from jepsenvm.history.table import TYPE_CODES, History, Ints
from jepsenvm.history.units import MILLISECOND, SECOND
from jepsenvm.report.figure import plain
from jepsenvm.report.jepsen_plots import clock_skew
from jepsenvm.report.stored_run import StoredRun


def plots(run: StoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield the plots of a run that say something, each with its name."""
    found: list[tuple[str, Figure | None]] = []
    for f, done in run.presentation.plots.items():
        found.append((f"rate-{f}", rates(run.history, f, done)))
        if f not in run.presentation.not_availability:
            title = f"time until {done}"
            found.append((f"latency-{f}", latencies(run.history, f, title)))
    found.append(("lost", losses(run.history)))
    main = run.results.checkers.get(run.presentation.main_checker)
    found.append(("violation", violation(main.figures.get("violation") if main else None)))
    found.append(("clock-skew", clock_skew(run)))
    return ((name, figure) for name, figure in found if figure is not None)


def rates(history: History, f: str, title: str) -> Figure | None:
    """Return a plot of the ok ops in each second, by node; None without any."""
    return _per_node(history, _ok_times(history, f), title)


def losses(history: History) -> Figure | None:
    """Return a plot of when the lost messages were confirmed; None if none are missing."""
    delivered = np.concatenate([history.values("ok", f) for f in ("dequeue", "read")])
    missing = np.setdiff1d(history.values("ok", "enqueue"), delivered)
    if not len(missing):
        return None
    return _per_node(history, _ok_times(history, "enqueue", missing), "confirmed, never delivered")


def violation(ops: Sequence[Mapping[str, Any]] | None) -> Figure | None:
    """Return a plot of the ops that contradict each other, each as a bar; None without ops.

    ``ops`` is a checker's figure ``violation``.
    """
    if not ops:
        return None
    figure = Figure(figsize=(10, 1 + 0.3 * len(ops)), layout="constrained")
    axes = figure.add_subplot()
    last = max(op["from"] if op["to"] is None else op["to"] for op in ops)
    for row, op in enumerate(ops):
        # An op in doubt may take effect at any time after its invocation.
        end, colour = (last, "tab:orange") if op["to"] is None else (op["to"], "tab:blue")
        axes.barh(
            row,
            max(end - op["from"], (last - ops[0]["from"]) / 500),
            left=op["from"],
            color=colour,
        )
    names = [f"process {op['process']} on {op['node']}: {op['f']} {op['type']}" for op in ops]
    axes.set_yticks(range(len(ops)), list(map(plain, names)))
    axes.invert_yaxis()
    axes.set(title="the ops that contradict each other", xlabel="seconds since the run began")
    return figure


def latencies(history: History, f: str, title: str) -> Figure | None:
    """Return a plot of the median and p99 latency of the ok ops invoked in each second.

    None if all latencies are 0, as in a history without times.
    """
    seconds, nanoseconds = _latencies(history, f)
    if not nanoseconds.any():
        return None
    figure = Figure(figsize=(10, 3), layout="constrained")
    axes = figure.add_subplot()
    order = np.lexsort((nanoseconds, seconds))
    present, first, count = np.unique(seconds[order], return_index=True, return_counts=True)
    for percent in (50, 99):
        # The nearest-rank percentile, as in the latency checker.
        ranked = nanoseconds[order][first + -(-count * percent // 100) - 1]
        axes.plot(
            present,
            ranked / MILLISECOND,
            label=f"p{percent}",
            linewidth=1.2,
            marker=".",
            markersize=3,
        )
    _shade(axes, history)
    axes.set(title=title, xlabel="seconds since the run began", ylabel="ms", yscale="log")
    axes.legend(loc="upper right", ncols=6, fontsize="small")
    return figure


def _latencies(history: History, f: str) -> tuple[Ints, Ints]:
    """Return the second in which each ok op was invoked, and its latency in nanoseconds."""
    seconds, nanoseconds = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for ops in pairs(history):
        if f in history.names:
            rows = (ops.type == TYPE_CODES["ok"]) & (ops.f == history.names.index(f))
            seconds.append(ops.invoked[rows] // SECOND)
            nanoseconds.append((ops.completed - ops.invoked)[rows])
    return np.concatenate(seconds), np.concatenate(nanoseconds)


def _per_node(history: History, times: Mapping[str, Ints], title: str) -> Figure | None:
    """Return a plot with one line per node of how many times fall into each second."""
    if not times:
        return None
    figure = Figure(figsize=(10, 3), layout="constrained")
    axes = figure.add_subplot()
    for node, nanoseconds in sorted(times.items()):
        seconds, counts = _per_second(nanoseconds)
        axes.plot(seconds, counts, label=plain(node), linewidth=1.2)
    _shade(axes, history)
    axes.set(title=title, xlabel="seconds since the run began", ylabel="per second")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right", ncols=6, fontsize="small")
    return figure


def _ok_times(history: History, f: str, only: Ints | None = None) -> dict[str, Ints]:
    """Return when ops were ok, in nanoseconds, by node; ``only`` restricts them to these values."""
    times: dict[str, list[Ints]] = {}
    for chunk in history:
        rows = history.mask(chunk, "ok", f)
        if only is not None:
            rows &= np.isin(chunk.value, only)
        for code in np.unique(chunk.node[rows]):
            name = history.nodes[code] if code >= 0 else "-"
            times.setdefault(name, []).append(chunk.time[rows & (chunk.node == code)])
    return {name: np.concatenate(parts) for name, parts in times.items()}


def _per_second(times: Ints) -> tuple[Ints, Ints]:
    """Return the seconds from the first time to the last, and the number of times in each."""
    counts = np.bincount(times // SECOND)
    first = int(times.min() // SECOND)
    return np.arange(first, len(counts)), counts[first:]


def _shade(axes: Axes, history: History) -> None:
    """Shade the faults, each from its injection to the end of its healing."""
    for fault in fault_intervals(history):
        if fault.healed is not None:
            axes.axvspan(
                fault.injected / SECOND,
                fault.healed / SECOND,
                color="tab:red",
                alpha=0.12,
                label=f"fault {fault.number}",
            )
