"""The verdict algebra: valid, invalid, unknown, and how the parts make the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jepsenvm.history.table import History


class Verdict(StrEnum):
    """What a check found; ``unknown`` is never to be read as a yes."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"

    @property
    def exit_status(self) -> int:
        """The exit status that Jepsen's users expect."""
        return {Verdict.VALID: 0, Verdict.INVALID: 1, Verdict.UNKNOWN: 2}[self]


@dataclass(frozen=True)
class Result:
    """What one checker says: its verdict, why in sentences, and its figures (JSON-able)."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """Return the result as it stands in results.json."""
        return {"verdict": str(self.verdict), **self.figures}


Checker = Callable[[History], Result]


@dataclass(frozen=True)
class Results:
    """What all checkers say together."""

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
    """Return the verdict of the whole: invalid > unknown > valid; of no parts at all it is unknown."""
    for verdict in (Verdict.INVALID, Verdict.UNKNOWN):
        if verdict in verdicts:
            return verdict
    return Verdict.VALID if verdicts else Verdict.UNKNOWN


def check(history: History, checkers: Mapping[str, Checker]) -> Results:
    """Return what the checkers say of a history, and the worst of their verdicts; one that crashes says unknown."""
    results = {name: _guarded(name, checker, history) for name, checker in checkers.items()}
    results = {"history": _whole(history), **results}
    return Results(
        worst(*(result.verdict for result in results.values())),
        tuple(reason for result in results.values() for reason in result.reasons),
        results,
    )


def _guarded(name: str, checker: Checker, history: History) -> Result:
    try:
        return checker(history)
    except Exception as crash:
        return Result(
            Verdict.UNKNOWN, (f"the checker {name} crashed: {type(crash).__name__}: {crash}",)
        )


def _whole(history: History) -> Result:
    """Say whether the history was read to a proper end, and whether its run was let to go to its own."""
    interrupts = [op.error or "interrupted" for op in history.nemesis_ops() if op.f == "interrupt"]
    reasons = [f"the run was ended early: {text}" for text in interrupts]
    if not history.complete:
        reasons.append("the history is cut short: its writer was ended before it closed it")
    return Result(Verdict.UNKNOWN if reasons else Verdict.VALID, tuple(reasons))
