"""Verdicts (valid, invalid, unknown), results of checkers, and how they combine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from jepsenvm.checkers.json_data import json_data
from jepsenvm.history.nemesis_records import INTERRUPT
from jepsenvm.history.table import History


class Verdict(StrEnum):
    """The judgement of a checker. ``unknown`` must never be read as valid."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"

    @property
    def exit_status(self) -> int:
        """The exit status of a command with this verdict, as in Jepsen's command line."""
        return {Verdict.VALID: 0, Verdict.INVALID: 1, Verdict.UNKNOWN: 2}[self]


@dataclass(frozen=True)
class Result:
    """The result of one checker.

    ``reasons``  sentences for users; a valid result may have some as well.
    ``figures``  counts and examples; ``as_data`` has them as written to results.json.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """Return the checker's entry in results.json."""
        return {"verdict": str(self.verdict), **json_data(self.figures)}


Checker = Callable[[History], Result]


@dataclass(frozen=True)
class Results:
    """The results of all checkers, the worst of their verdicts, and all their reasons."""

    verdict: Verdict
    reasons: tuple[str, ...]
    checkers: Mapping[str, Result]

    def as_data(self) -> dict[str, Any]:
        """Return the content of results.json."""
        return {
            "verdict": str(self.verdict),
            "reasons": list(self.reasons),
            "checkers": {name: result.as_data() for name, result in self.checkers.items()},
        }


def worst(*verdicts: Verdict) -> Verdict:
    """Return the worst verdict: invalid > unknown > valid. Without any verdict it is unknown."""
    for verdict in (Verdict.INVALID, Verdict.UNKNOWN):
        if verdict in verdicts:
            return verdict
    return Verdict.VALID if verdicts else Verdict.UNKNOWN


def graded(*, invalid: bool, unknown: bool) -> Verdict:
    """Return the verdict of a checker that found a violation, a doubt, both, or neither."""
    if invalid:
        return Verdict.INVALID
    return Verdict.UNKNOWN if unknown else Verdict.VALID


def check(history: History, checkers: Mapping[str, Checker]) -> Results:
    """Run checkers over a history.

    The results have one more entry, ``history``: whether the history is complete. A checker that
    raises an exception gets the verdict unknown, since its violations might have gone unseen.
    """
    results = {name: _run(name, checker, history) for name, checker in checkers.items()}
    if history.damage is not None or history.doubts:
        results = {name: _not_invalid(result) for name, result in results.items()}
    results = {"history": _completeness(history), **results}
    return Results(
        worst(*(result.verdict for result in results.values())),
        tuple(reason for result in results.values() for reason in result.reasons),
        results,
    )


def _run(name: str, checker: Checker, history: History) -> Result:
    try:
        return checker(history)
    except Exception as crash:
        reason = f"the checker {name} crashed: {type(crash).__name__}: {crash}"
        return Result(Verdict.UNKNOWN, (reason,))


def _not_invalid(result: Result) -> Result:
    """Return a result that accuses nobody: what it found may come from how the file was read."""
    if result.verdict is not Verdict.INVALID:
        return result
    return replace(result, verdict=Verdict.UNKNOWN)


def _completeness(history: History) -> Result:
    """Return unknown if the run was interrupted or its history is cut short or damaged."""
    interrupts = [op.error or "interrupted" for op in history.nemesis_ops() if op.f == INTERRUPT]
    reasons = [f"the run was ended early: {cause}" for cause in interrupts]
    if history.damage is not None:
        reasons.append(f"the history is damaged, so no verdict can rest on it: {history.damage}")
    elif not history.complete:
        reasons.append("the history is cut short: its writer ended before it closed the file")
    reasons += [f"the history was not understood: {doubt}" for doubt in history.doubts]
    return Result(Verdict.UNKNOWN if reasons else Verdict.VALID, tuple(reasons))
