"""Silences: when each node served no op of the load for longer than a second."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jepsenvm.checkers.availability import GAP
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.table import TYPE_CODES, History, Ints

Silence = tuple[int, int]
"""The begin and the end of a time without an ok op, in nanoseconds since the run began."""


def silences(history: History, ignored: Sequence[str]) -> dict[str, list[Silence]]:
    """Return the silences of each node that had an op of the load.

    The load lasts from its first op to its last. ``ignored`` are the names of ops that do not show
    whether a node serves the load, as in the checker ``availability``.
    """
    begin: int | None = None
    end = 0
    last_ok: dict[int, int] = {}
    found: dict[int, list[Silence]] = {}
    for chunk in history:
        codes = [code for code, name in enumerate(history.names) if name in ignored]
        load = np.flatnonzero((chunk.process != NEMESIS) & ~np.isin(chunk.f, codes))
        if not len(load):
            continue
        begin = int(chunk.time[load[0]]) if begin is None else begin
        end = max(end, int(chunk.time[load].max()))
        nodes = chunk.node[load]
        ok = chunk.type[load] == TYPE_CODES["ok"]
        for code in np.unique(nodes).tolist():
            times = chunk.time[load[ok & (nodes == code)]]
            edges = np.concatenate([[last_ok.get(code, begin)], times])
            found.setdefault(code, []).extend(_gaps(edges))
            last_ok[code] = int(edges[-1])
    for code, last in last_ok.items():
        found[code].extend(_gaps(np.array([last, end])))
    return {history.nodes[code]: gaps for code, gaps in sorted(found.items()) if code >= 0}


def _gaps(edges: Ints) -> list[Silence]:
    long = np.flatnonzero(np.diff(edges) > GAP)
    return list(zip(edges[long].tolist(), edges[long + 1].tolist(), strict=True))
