"""exceptions: the errors that clients recorded, grouped by their text."""

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
"""At most this many groups are in a result, the most frequent ones. The counts are exact."""

_NUMBERS: Final = re.compile(r"(\d+)")


@dataclass
class _Group:
    """Errors of one f with texts that differ at most in numbers."""

    f: str
    parts: list[str]
    """The text, split at its numbers. N replaces a number that differs between the errors."""
    first: int
    """The time of the first one, in nanoseconds since the run began."""
    nodes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """The number of errors by node."""

    def add(self, parts: list[str], node: str, first: int, count: int) -> None:
        self.parts = [
            part if part == other else "N" for part, other in zip(self.parts, parts, strict=True)
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
    """Return the errors of failed and doubtful ops, with their counts by node and their first time.

    Texts of one f that differ only in numbers are one error. Times are in seconds since the run
    began. It judges nothing and is always valid.
    """
    groups: dict[tuple[str, ...], _Group] = {}
    for (f, node, error), (count, first) in _errors(history).items():
        parts = _NUMBERS.split(error)  # every second part is a number
        group = groups.setdefault((f, *parts[::2]), _Group(f, parts, first))
        group.add(parts, node, first, count)
    by_frequency = sorted(groups.values(), key=lambda group: (-group.count, group.first))
    figures = {
        "error-count": sum(group.count for group in by_frequency),
        "different-count": len(by_frequency),
        "errors": [group.as_data() for group in by_frequency[:SHOWN]],
    }
    return Result(Verdict.VALID, (), figures)


def _errors(history: History) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Return the count and the first time of each (f, node, error text)."""
    errors: dict[tuple[str, str, str], tuple[int, int]] = {}
    for chunk in history:
        not_ok = (chunk.type == TYPE_CODES["fail"]) | (chunk.type == TYPE_CODES["info"])
        for row in np.flatnonzero(not_ok & (chunk.process != NEMESIS)):
            error = chunk.error(int(row))
            if error is None:
                continue
            node = history.nodes[chunk.node[row]] if chunk.node[row] >= 0 else "-"
            key = history.names[chunk.f[row]], node, error
            count, first = errors.get(key, (0, int(chunk.time[row])))
            errors[key] = count + 1, min(first, int(chunk.time[row]))
    return errors
