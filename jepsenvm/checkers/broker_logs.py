"""broker-logs: what the brokers' own logs tell of crashes, partitions and alarms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.table import History

PATTERNS: Final[Mapping[str, str]] = {
    "crash-reports": r"CRASH REPORT|crasher:|\*\* Reason for termination",
    "errors": r"\[error\]",
    "partitions": r"Partial partition detected|inconsistent_database|(running|starting)_partitioned_network",
    "autoheal": r"Autoheal request",
    "pauses": r"pause_minority|Cluster minority/secondary status detected",
    "alarms": r"resource limit alarm set",
}
"""What is counted in every run: lines that RabbitMQ 3.8 to 4.x and Erlang's logger write."""

LINE_CHARACTERS: Final = 300
"""So much of a line stands in a result."""


def broker_logs(
    history: History,
    *,
    logs: Mapping[str, Iterable[str]],
    patterns: Mapping[str, str] | None = None,
    forbidden: Sequence[str] = (),
) -> Result:
    """Count the lines of each node's log that match a pattern, ours and the plan's; valid if none is forbidden.

    With forbidden patterns it is unknown, if not invalid, when a node of the history has left no log: what is not
    there cannot be searched.
    """
    wanted = {name: re.compile(text) for name, text in {**PATTERNS, **(patterns or {})}.items()}
    sizes, found = {}, {}
    for node, lines in sorted(logs.items()):
        sizes[node], found[node] = _counted(lines, wanted)
    reasons = [
        f"{node}'s log has {seen['count']:,} lines of {name}, which the plan forbids: {seen['first']}"
        for node, by_name in found.items()
        for name, seen in by_name.items()
        if name in forbidden
    ]
    verdict = Verdict.INVALID if reasons else Verdict.VALID
    silent = (
        sorted(node for node in {*_nodes(history), *logs} if not sizes.get(node))
        if forbidden
        else []
    )
    if silent:
        verdict = Verdict.INVALID if reasons else Verdict.UNKNOWN
        reasons.append(f"there is no log of {' '.join(silent)} to search for what the plan forbids")
    totals = {
        name: sum(seen[name]["count"] for seen in found.values() if name in seen) for name in wanted
    }
    return Result(
        verdict, tuple(reasons), {"line-counts": sizes, "counts": totals, "by-node": found}
    )


def _counted(
    lines: Iterable[str], wanted: Mapping[str, re.Pattern[str]]
) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return how many lines there are, and of each pattern that matched how many did, and the first."""
    total, found = 0, dict[str, dict[str, Any]]()
    for line in lines:
        total += 1
        for name, pattern in wanted.items():
            if pattern.search(line):
                seen = found.setdefault(name, {"count": 0, "first": line.strip()[:LINE_CHARACTERS]})
                seen["count"] += 1
    return total, found


def _nodes(history: History) -> list[str]:
    # Their names are known only when the history has been read.
    for _ in history:
        pass
    return history.nodes
