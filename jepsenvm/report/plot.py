"""Plots of a history, as SVG: what was confirmed and read back when, how fast, on which node, under which fault."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jepsenvm.checkers.fault_intervals import fault_intervals
from jepsenvm.checkers.op_pairs import pairs
from jepsenvm.history.table import TYPE_CODES, History, Ints
from jepsenvm.history.units import MILLISECOND, SECOND


def rates(history: History, f: str, title: str) -> str:
    """Return an SVG of how many ops of this f were ok in each second, by node, with the fault windows shaded."""
    return _per_node(history, _ok_times(history, f), title)


def losses(history: History) -> str | None:
    """Return an SVG of when the messages were confirmed that never came back; None when all did."""
    came = np.concatenate([history.values("ok", f) for f in ("dequeue", "read")])
    missing = np.setdiff1d(history.values("ok", "enqueue"), came)
    if not len(missing):
        return None
    return _per_node(
        history, _ok_times(history, "enqueue", missing), "confirmed, and never came back"
    )


def violation(ops: Sequence[Mapping[str, Any]] | None) -> str | None:
    """Return an SVG of the ops that cannot stand together, each as a bar over its time; None when there are none."""
    if not ops:
        return None
    figure = Figure(figsize=(10, 1 + 0.3 * len(ops)), layout="constrained")
    axes = figure.add_subplot()
    last = max(op["from"] if op["to"] is None else op["to"] for op in ops)
    for place, op in enumerate(ops):
        # one in doubt may have happened at any time since
        end, colour = (last, "tab:orange") if op["to"] is None else (op["to"], "tab:blue")
        axes.barh(
            place,
            max(end - op["from"], (last - ops[0]["from"]) / 500),
            left=op["from"],
            color=colour,
        )
    names = [f"process {op['process']} on {op['node']}: {op['f']} {op['type']}" for op in ops]
    axes.set_yticks(range(len(ops)), names)
    axes.invert_yaxis()
    axes.set(title="the ops that cannot stand together", xlabel="seconds since the run began")
    return _svg(figure)


def latencies(history: History, f: str, title: str) -> str | None:
    """Return an SVG of the latency of ok ops of this f that began in each second; None when none took any time."""
    seconds, took = _latencies(history, f)
    if not took.any():
        return None
    figure = Figure(figsize=(10, 3), layout="constrained")
    axes = figure.add_subplot()
    order = np.lexsort((took, seconds))
    present, first, count = np.unique(seconds[order], return_index=True, return_counts=True)
    for percent in (50, 99):
        # the smallest that so many percent did not exceed, as in the checker
        ranked = took[order][first + -(-count * percent // 100) - 1]
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
    return _svg(figure)


def _latencies(history: History, f: str) -> tuple[Ints, Ints]:
    """Return in which second each ok op began, and how many nanoseconds it took."""
    seconds, took = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for some in pairs(history):
        if f in history.names:
            rows = (some.type == TYPE_CODES["ok"]) & (some.f == history.names.index(f))
            seconds.append(some.invoked[rows] // SECOND)
            took.append((some.completed - some.invoked)[rows])
    return np.concatenate(seconds), np.concatenate(took)


def _per_node(history: History, times: Mapping[str, Ints], title: str) -> str:
    figure = Figure(figsize=(10, 3), layout="constrained")
    axes = figure.add_subplot()
    for node, seen in sorted(times.items()):
        seconds, counts = _per_second(seen)
        axes.plot(seconds, counts, label=node, linewidth=1.2)
    _shade(axes, history)
    axes.set(title=title, xlabel="seconds since the run began", ylabel="per second")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right", ncols=6, fontsize="small")
    return _svg(figure)


def _ok_times(history: History, f: str, only: Ints | None = None) -> dict[str, Ints]:
    """Return when ops of this f were ok on each node, of these values only if given."""
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
    counts = np.bincount(times // SECOND)
    first = int(times.min() // SECOND)
    return np.arange(first, len(counts)), counts[first:]


def _shade(axes: Axes, history: History) -> None:
    for window in fault_intervals(history):
        if window.healed is not None:
            label = f"fault {window.number}"
            axes.axvspan(
                window.injected / SECOND,
                window.healed / SECOND,
                color="tab:red",
                alpha=0.12,
                label=label,
            )


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
