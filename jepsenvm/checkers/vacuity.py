"""vacuity: whether each fault met any load while it was in force, and on which side of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jepsenvm.checkers.fault_intervals import (
    ACKNOWLEDGED,
    acknowledgements,
    fault_intervals,
    in_force,
    sides,
)
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.table import History, Ints


def vacuity(history: History, *, f_names: Sequence[str] = ACKNOWLEDGED) -> Result:
    """Say unknown when a fault met no acknowledged op while it was in force; never invalid.

    A fault that nobody wrote under says nothing about the broker. One that means to keep every publisher from being
    confirmed need not meet any; nor need both sides of a cut, so what each acknowledged stands in the figures only.
    """
    times, nodes = acknowledgements(history, f_names)
    reasons, rows = [], []
    for window in fault_intervals(history):
        inside = in_force(times, window)
        if window.in_force is not None and not window.stops_load and not inside.any():
            reasons.append(
                f"{window.title} met no acknowledged message while it was in force, so it tested nothing"
            )
        groups = sides(window, history.nodes)
        counted = [
            {"nodes": list(side), "acknowledged-count": _on(history, side, nodes[inside])}
            for side in groups
        ]
        rows.append({"window": window.number, "sides": counted})
    return Result(Verdict.UNKNOWN if reasons else Verdict.VALID, tuple(reasons), {"windows": rows})


def _on(history: History, side: Sequence[str], nodes: Ints) -> int:
    """Return how many of these nodes, by their codes, are on a side."""
    return int(
        np.isin(nodes, [code for code, name in enumerate(history.nodes) if name in side]).sum()
    )
