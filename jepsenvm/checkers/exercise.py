"""Exercise: what a history must contain before a verdict about it can be valid.

A checker that finds no violation may have found none because nothing was tested. So each workload
declares which operations its checker understands, and which figures of the checker must not be 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from jepsenvm.checkers.verdict import Checker, Result, Verdict, worst
from jepsenvm.checkers.wording import counted, listed
from jepsenvm.errors import shorten
from jepsenvm.history.table import History

MOST_NAMES: Final = 10
"""A reason lists at most this many names of operations."""

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Exercise:
    """What a checker needs from a history."""

    operations: Sequence[str]
    """The names of the clients' operations that the checker understands."""
    figures: Mapping[str, str]
    """Figures of the checker that must not be 0, and the reason why nothing was tested if one is.

    A figure that is missing counts as 0.
    """
    remarks: Mapping[str, str] = field(default_factory=dict)
    """Figures that may be 0, and the sentence that says so. They do not change the verdict."""


def exercised(checker: Checker, exercise: Exercise) -> Checker:
    """Return the checker with a verdict that is never valid for a history without the exercise.

    The result is unknown if a figure of the exercise is 0, or if the history has operations that
    the checker does not understand or that no process did: the checker ignores these, so its
    figures may be wrong. A violation that it found makes it invalid all the same.
    """

    def judge(history: History) -> Result:
        result = checker(history)
        doubts = [
            *_ignored(history, exercise.operations),
            *(reason for name, reason in exercise.figures.items() if not result.figures.get(name)),
        ]
        remarks = [
            remark for name, remark in exercise.remarks.items() if not result.figures.get(name, 1)
        ]
        verdict = worst(result.verdict, Verdict.UNKNOWN) if doubts else result.verdict
        return replace(result, verdict=verdict, reasons=(*result.reasons, *doubts, *remarks))

    return judge


def _ignored(history: History, operations: Sequence[str]) -> list[str]:
    """Return why the checker ignored some ops; empty if it ignored none.

    The nemesis' ops are ``info``, of any name that is no operation of the workload.
    """
    unknown: Counter[str] = Counter()
    without_process: Counter[str] = Counter()
    others = history.counts_of_no_client()
    for (_, name), count in (history.counts() - others).items():
        if name not in operations:
            unknown[name] += count
    for (type_, name), count in others.items():
        if type_ != "info" or name in operations:
            without_process[name] += count
    return [
        f"{counted(counts.total(), 'op is', 'ops are')} {problem}: {_names(counts)}"
        for counts, problem in (
            (unknown, "not understood, because the workload has no such operation"),
            (without_process, "recorded without a process"),
        )
        if counts
    ]


def _names(counts: Counter[str]) -> str:
    names = [shorten(repr(name)) for name, _ in counts.most_common(MOST_NAMES)]
    more = len(counts) - len(names)
    return listed(names) + (f" and {more:,} more names" if more else "")
