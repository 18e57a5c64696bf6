"""The search for the smallest subject that still fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from jepsenvm.shrink.reductions import reductions
from jepsenvm.shrink.subject import Subject


class Answer(Enum):
    """What a trial of a subject found."""

    FAILS = "fails in the same way"
    PASSES = "does not fail in the same way"
    NO_TIME = "there is no time left for it"


Oracle = Callable[[Subject], Answer]
"""Tries a subject. The search is as deterministic as its oracle."""


@dataclass(frozen=True)
class Smallest:
    """The result of a search."""

    subject: Subject
    """The smallest subject that failed."""
    trials: int
    complete: bool
    """Whether no smaller subject fails, as far as the search knows. Otherwise time ran out."""


def smallest(
    subject: Subject,
    oracle: Oracle,
    *,
    valid: Callable[[Subject], bool],
    found: Callable[[Subject], None],
) -> Smallest:
    """Return the smallest subject to which a failing one can be reduced step by step.

    No subject is tried twice. ``valid`` says whether a subject is a plan at all. ``found`` is told
    each smaller subject that fails.
    """
    tried = {subject.key}
    trials = 0
    while True:
        for candidate in _untried(subject, tried, valid):
            answer = oracle(candidate)
            if answer is Answer.NO_TIME:
                return Smallest(subject, trials, complete=False)
            trials += 1
            if answer is Answer.FAILS:
                subject = candidate
                found(subject)
                break
        else:
            return Smallest(subject, trials, complete=True)


def _untried(
    subject: Subject, tried: set[str], valid: Callable[[Subject], bool]
) -> Iterator[Subject]:
    for candidate in reductions(subject):
        if candidate.key not in tried:
            tried.add(candidate.key)
            if valid(candidate):
                yield candidate
