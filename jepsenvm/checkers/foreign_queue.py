"""total-queue for histories of other programs, which need not end with a drain."""

from __future__ import annotations

from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.table import History


def foreign_queue(history: History) -> Result:
    """Judge as ``total_queue``, but without an ok drain missing messages are undecided.

    A file that lost its last lines looks like a history without a drain. So messages are lost only
    if an ok drain shows that the queue was empty; what never came back is unknown otherwise.
    """
    result = total_queue(history)
    # With an ok drain both calls return the same, and each of them reads the whole history.
    if result.verdict is Verdict.VALID or history.count("ok", "drain"):
        return result
    return total_queue(history, drain_required=True)
