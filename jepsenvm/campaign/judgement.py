"""How outcomes compare with what was expected, and the exit status that follows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum

from jepsenvm.campaign.record import Record
from jepsenvm.campaign.spec import Expected
from jepsenvm.checkers.verdict import Verdict


class Judgement(StrEnum):
    """An outcome beside the expected one."""

    WORSE = "worse"
    """Invalid, and not expected to be."""
    UNKNOWN = "unknown"
    """Nothing is proven."""
    MISSING = "not run"
    BETTER = "better"
    """Valid, although it was expected to be invalid."""
    EXPECTED = "expected"
    RECORDED = "recorded"
    """Any outcome was expected."""


UNDECIDED = (Judgement.UNKNOWN, Judgement.MISSING)
UNEXPECTED = (Judgement.WORSE, Judgement.BETTER)


def judged(record: Record, expected: Expected, checkers: Collection[str] = ()) -> Judgement:
    """Return how the outcome of a run compares with the expected verdict.

    ``checkers`` are those that may be invalid; any if there are none.
    """
    verdict = record.verdict
    if verdict is None:
        return Judgement.MISSING
    if verdict is Verdict.UNKNOWN:
        return Judgement.UNKNOWN
    if verdict is Verdict.INVALID and _surprising(record, checkers):
        return Judgement.WORSE
    if expected == "any":
        return Judgement.RECORDED
    if str(verdict) == expected:
        return Judgement.EXPECTED
    return Judgement.WORSE if verdict is Verdict.INVALID else Judgement.BETTER


def _surprising(record: Record, checkers: Collection[str]) -> bool:
    """Return whether a checker is invalid that is not one of these."""
    outcome = record.last.outcome if record.last else None
    if not checkers or outcome is None:
        return False
    return any(kind.partition(":")[0] not in checkers for kind in outcome.kinds)


def exit_status(judgements: Iterable[Judgement]) -> int:
    """Return 1 if an outcome is worse than expected, 2 if one is unknown or missing, otherwise 0.

    Without any outcome it is 2.
    """
    found = set(judgements)
    if Judgement.WORSE in found:
        return 1
    return 2 if not found or found & set(UNDECIDED) else 0
