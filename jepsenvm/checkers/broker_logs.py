"""broker-logs: what the brokers' own logs say about crashes, partitions and alarms."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.checkers.log_lines import forms
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


LINE_TIMEOUT_S: Final = 1.0
"""Seconds that one pattern may take on one line. Some patterns backtrack practically for ever."""

PATTERN_TIMEOUT_S: Final = 60.0
"""Seconds that one pattern may take on all lines of all nodes."""


def broker_logs(
    history: History,
    *,
    logs: Mapping[str, Iterable[str]],
    incomplete: Mapping[str, str] | None = None,
    patterns: Mapping[str, str] | None = None,
    forbidden: Sequence[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """Count the lines of each node's log that match a pattern; invalid if a forbidden one matches.

    If patterns are forbidden, it is unknown if a node of the history has no log or an incomplete
    one, or if a forbidden pattern took too long: a forbidden line may have been missed.

    ``logs``        the lines of each node's log; each iterable is read once.
    ``incomplete``  why lines of the run are missing from a node's log, by node.
    ``patterns``    regular expressions of the plan by name, counted beside PATTERNS.
    ``forbidden``   names of patterns that must not match.
    ``clock``       returns seconds.
    """
    import regex  # noqa: PLC0415 - it takes long to import, and few histories have logs

    searches = {
        name: _Search(regex.compile(pattern), clock)
        for name, pattern in {**PATTERNS, **(patterns or {})}.items()
    }
    line_counts, matches = {}, {}
    for node, lines in sorted(logs.items()):
        line_counts[node], matches[node] = _matches(lines, searches)
    forbidden_counts = {
        (node, name): match
        for node, by_name in matches.items()
        for name, match in by_name.items()
        if name in forbidden
    }
    violations = [
        f"the log of {node} has {counted(match['count'], 'line')} with the forbidden pattern "
        f"{name}; the first is: {match['first']}"
        for (node, name), match in forbidden_counts.items()
    ]
    doubts = []
    if forbidden:
        nodes = {*_nodes(history), *logs}
        without_log = [node for node in nodes if not line_counts.get(node)]
        doubts = [
            *_missing_reasons(without_log, incomplete or {}),
            *(
                f"the forbidden pattern {name} took too long and was given up"
                for name in forbidden
                if searches[name].given_up
            ),
        ]
    figures = {
        "line-counts": line_counts,
        "counts": {
            name: sum(by_name[name]["count"] for by_name in matches.values() if name in by_name)
            for name in searches
        },
        "given-up": [name for name, search in searches.items() if search.given_up],
        "by-node": matches,
    }
    verdict = graded(invalid=bool(forbidden_counts), unknown=bool(doubts))
    return Result(verdict, (*violations, *doubts), figures)


def _missing_reasons(without_log: Sequence[str], incomplete: Mapping[str, str]) -> Iterator[str]:
    if without_log:
        yield f"there is no log of {listed(without_log)} in which to search for forbidden patterns"
    for node, reason in sorted(incomplete.items()):
        yield f"forbidden patterns cannot be excluded on {node}: {reason}"


@dataclass
class _Search:
    """The search for one pattern, which is given up when it takes too long."""

    pattern: Any
    clock: Callable[[], float]
    seconds: float = 0.0
    given_up: bool = False

    def finds(self, line: str) -> bool:
        """Return whether a line matches; False once the search was given up."""
        if self.given_up:
            return False
        began = self.clock()
        try:
            found = any(self.pattern.search(form, timeout=LINE_TIMEOUT_S) for form in forms(line))
        except TimeoutError:
            found, self.given_up = False, True
        self.seconds += self.clock() - began
        self.given_up |= self.seconds > PATTERN_TIMEOUT_S
        return found


def _matches(
    lines: Iterable[str], searches: Mapping[str, _Search]
) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the number of lines, and the count and the first line of each pattern that matches."""
    line_count, matches = 0, dict[str, dict[str, Any]]()
    for line in lines:
        line_count += 1
        for name, search in searches.items():
            if search.finds(line):
                first = {"count": 0, "first": line.strip()[:LINE_CHARACTERS]}
                matches.setdefault(name, first)["count"] += 1
    return line_count, matches


def _nodes(history: History) -> list[str]:
    # A history has the names of all nodes only after all of its chunks were read.
    for _ in history:
        pass
    return history.nodes
