"""broker-logs: what the brokers' own logs say about crashes, partitions and alarms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from jepsenvm.checkers.verdict import Result, graded
from jepsenvm.checkers.wording import counted, listed
from jepsenvm.history.table import History

PATTERNS: Final[Mapping[str, str]] = {
    "crash-reports": r"CRASH REPORT|crasher:|\*\* Reason for termination",
    "errors": r"\[error\]",
    "partitions": (
        r"Partial partition detected|inconsistent_database"
        r"|(running|starting)_partitioned_network"
    ),
    "autoheal": r"Autoheal request",
    "pauses": r"pause_minority|Cluster minority/secondary status detected",
    "alarms": r"resource limit alarm set",
}
"""Patterns counted in every run: lines that RabbitMQ 3.8 to 4.x and Erlang's logger write."""

LINE_CHARACTERS: Final = 300
"""At most this many characters of a line are in a result."""


def broker_logs(
    history: History,
    *,
    logs: Mapping[str, Iterable[str]],
    patterns: Mapping[str, str] | None = None,
    forbidden: Sequence[str] = (),
) -> Result:
    """Count the lines of each node's log that match a pattern; invalid if a forbidden one matches.

    If patterns are forbidden and a node of the history has no log, it is unknown: the missing log
    may have a forbidden line.

    ``logs``       the lines of each node's log; each iterable is read once.
    ``patterns``   regular expressions of the plan by name, counted beside PATTERNS.
    ``forbidden``  names of patterns that must not match.
    """
    expressions = {
        name: re.compile(pattern) for name, pattern in {**PATTERNS, **(patterns or {})}.items()
    }
    line_counts, matches = {}, {}
    for node, lines in sorted(logs.items()):
        line_counts[node], matches[node] = _matches(lines, expressions)
    violations = [
        f"the log of {node} has {counted(match['count'], 'line')} with the forbidden pattern "
        f"{name}; the first is: {match['first']}"
        for node, by_name in matches.items()
        for name, match in by_name.items()
        if name in forbidden
    ]
    without_log = []
    if forbidden:
        nodes = {*_nodes(history), *logs}
        without_log = [node for node in nodes if not line_counts.get(node)]
    doubts = []
    if without_log:
        doubts.append(
            f"there is no log of {listed(without_log)} in which to search for forbidden patterns"
        )
    figures = {
        "line-counts": line_counts,
        "counts": {
            name: sum(by_name[name]["count"] for by_name in matches.values() if name in by_name)
            for name in expressions
        },
        "by-node": matches,
    }
    verdict = graded(invalid=bool(violations), unknown=bool(doubts))
    return Result(verdict, (*violations, *doubts), figures)


def _matches(
    lines: Iterable[str], expressions: Mapping[str, re.Pattern[str]]
) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the number of lines, and the count and the first line of each matching expression."""
    line_count, matches = 0, dict[str, dict[str, Any]]()
    for line in lines:
        line_count += 1
        for name, expression in expressions.items():
            if expression.search(line):
                first = {"count": 0, "first": line.strip()[:LINE_CHARACTERS]}
                matches.setdefault(name, first)["count"] += 1
    return line_count, matches


def _nodes(history: History) -> list[str]:
    # A history has the names of all nodes only after all of its chunks were read.
    for _ in history:
        pass
    return history.nodes
