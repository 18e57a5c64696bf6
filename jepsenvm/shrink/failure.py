"""How a run failed, so that another run can be compared with it."""

from __future__ import annotations

from jepsenvm.checkers.outcome import Outcome
from jepsenvm.checkers.verdict import Verdict


def fails_alike(outcome: Outcome | None, original: Outcome) -> bool:
    """Return whether a run is invalid with every kind of anomaly of the original one."""
    if outcome is None or outcome.verdict is not Verdict.INVALID:
        return False
    return set(original.kinds) <= set(outcome.kinds)
