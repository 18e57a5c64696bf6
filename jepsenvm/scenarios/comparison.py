"""Comparison of a run's verdict with the verdict that its scenario expects."""

from __future__ import annotations

from enum import StrEnum

from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.scenarios.scenario import Expectation


class Comparison(StrEnum):
    """How a verdict compares with the expected one."""

    AS_EXPECTED = "as expected"
    WORSE = "worse than expected"
    BETTER = "better than expected"
    NO_EXPECTATION = "no expectation for this version"
    NOT_DECIDED = "not decided"
    """The verdict is unknown, which is neither better nor worse."""


def compare(expectation: Expectation | None, results: Results) -> Comparison:
    """Compare the results of a run with an expectation for its version of RabbitMQ.

    A rare expectation is met by a valid run as well as by an invalid one.
    """
    if expectation is None:
        return Comparison.NO_EXPECTATION
    if results.verdict is Verdict.UNKNOWN:
        return Comparison.NOT_DECIDED
    if expectation.verdict == "valid":
        valid = results.verdict is Verdict.VALID
        return Comparison.AS_EXPECTED if valid else Comparison.WORSE
    if results.verdict is Verdict.INVALID:
        other = surprising_checkers(expectation, results)
        return Comparison.WORSE if other else Comparison.AS_EXPECTED
    rare = expectation.certainty == "rare"
    return Comparison.AS_EXPECTED if rare else Comparison.BETTER


def surprising_checkers(expectation: Expectation, results: Results) -> list[str]:
    """Return the checkers that are invalid although the expectation does not name them."""
    if not expectation.checkers:
        return []
    return sorted(
        name
        for name, result in results.checkers.items()
        if result.verdict is Verdict.INVALID and name not in expectation.checkers
    )
