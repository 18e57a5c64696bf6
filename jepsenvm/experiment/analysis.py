"""The results of a history, and how they are shown; see ``judge``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jepsenvm import steps
from jepsenvm.checkers.verdict import Checker, Result, Results, check
from jepsenvm.history.table import History
from jepsenvm.report.presentation import Presentation


@dataclass(frozen=True)
class Analysis:
    """The results of a history, and how they are shown."""

    results: Results
    presentation: Presentation


def checked(history: History, checkers: Mapping[str, Checker]) -> Results:
    """Run checkers, and report each as a step."""

    def reporting(number: int, name: str, checker: Checker) -> Checker:
        def run(each_history: History) -> Result:
            steps.report(f"checking {name}", number, len(checkers))
            return checker(each_history)

        return run

    reported = {
        name: reporting(number, name, checker)
        for number, (name, checker) in enumerate(checkers.items())
    }
    return check(history, reported)
