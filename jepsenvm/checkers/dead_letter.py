"""dead-letter: what leaves its queue must arrive in the dead-letter queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jepsenvm.checkers.fault_intervals import attribute
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Result
from jepsenvm.history.table import History, Ints

AT_LEAST_ONCE: Final = "at-least-once"
"""The one strategy that promises anything (https://www.rabbitmq.com/docs/quorum-queues#dead-lettering)."""


def dead_letter(history: History, *, strategy: str) -> Result:
    """Judge the dead-letter queue as total-queue does, where the dequeues are those from the dead-letter queue.

    What ``strategy`` (``dead-letter-strategy``) promises changes the words and not the verdict: lost is lost.
    """
    promised = strategy == AT_LEAST_ONCE

    def never_arrived(history: History, lost: Ints, count: int) -> Sequence[str]:
        who = attribute(history, lost) or "acknowledged by their queue"
        excuse = "" if promised else f"; the strategy {strategy} promises nothing"
        return [f"{count:,} never arrived in the dead-letter queue: {who}{excuse}"]

    total = total_queue(history, drain_required=True, tell_lost=never_arrived)
    return Result(
        total.verdict, total.reasons, {**total.figures, "strategy": strategy, "promised": promised}
    )
