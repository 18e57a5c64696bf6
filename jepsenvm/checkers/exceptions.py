"""exceptions: what went wrong for the clients, in their own words, grouped."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.table import TYPE_CODES, History
from jepsenvm.history.units import SECOND

SHOWN: Final = 100
"""So many groups stand in a result, those that occurred most; the counts are exact."""

_NUMBERS: Final = re.compile(r"(\d+)")


@dataclass
class _Group:
    """Errors of one f whose texts differ in numbers at most."""

    f: str
    parts: list[str]
    """The text, cut at its numbers; N stands for those that are not the same in all."""
    first: int
    """Nanoseconds since the run began."""
    nodes: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, parts: list[str], node: str, first: int, count: int) -> None:
        self.parts = [
            mine if mine == other else "N" for mine, other in zip(self.parts, parts, strict=True)
        ]
        self.first = min(self.first, first)
        self.nodes[node] += count

    @property
    def count(self) -> int:
        return sum(self.nodes.values())

    def as_data(self) -> dict[str, Any]:
        return {
            "f": self.f,
            "error": "".join(self.parts),
            "count": self.count,
            "first": round(self.first / SECOND, 3),
            "nodes": dict(sorted(self.nodes.items())),
        }


def exceptions(history: History) -> Result:
    """Tell the errors of failed and unknown ops, with their counts by node and their first time in seconds.

    Texts of one f that differ only in numbers are one error. It judges nothing and is always valid.
    """
    groups: dict[tuple[str, ...], _Group] = {}
    for (f, node, error), (count, first) in _errors(history).items():
        parts = _NUMBERS.split(error)
        group = groups.setdefault((f, *parts[::2]), _Group(f, parts, first))
        group.add(parts, node, first, count)
    found = sorted(groups.values(), key=lambda group: (-group.count, group.first))
    figures = {
        "error-count": sum(group.count for group in found),
        "different-count": len(found),
        "errors": [group.as_data() for group in found[:SHOWN]],
    }
    return Result(Verdict.VALID, (), figures)


def _errors(history: History) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Return how often each text occurred for an f on a node, and when first."""
    found: dict[tuple[str, str, str], tuple[int, int]] = {}
    for chunk in history:
        bad = (chunk.type == TYPE_CODES["fail"]) | (chunk.type == TYPE_CODES["info"])
        for row in np.flatnonzero(bad & (chunk.process != NEMESIS)):
            error = chunk.error(int(row))
            if error is None:
                continue
            node = history.nodes[chunk.node[row]] if chunk.node[row] >= 0 else "-"
            key = history.names[chunk.f[row]], node, error
            count, first = found.get(key, (0, int(chunk.time[row])))
            found[key] = count + 1, min(first, int(chunk.time[row]))
    return found
