"""dead-letter: what leaves its queue must arrive in the dead-letter queue."""

from __future__ import annotations

from typing import Final

from jepsenvm.checkers.rows import without
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Result
from jepsenvm.checkers.windows import attribute
from jepsenvm.history.table import History

AT_LEAST_ONCE: Final = "at-least-once"
"""The one strategy that promises anything (https://www.rabbitmq.com/docs/quorum-queues#dead-lettering)."""


def dead_letter(history: History, *, strategy: str) -> Result:
    """Judge the dead-letter queue as total-queue does, where the dequeues are those from the dead-letter queue.

    What ``strategy`` (``dead-letter-strategy``) promises changes the words and not the verdict: lost is lost.
    """
    total = total_queue(history, drain_required=True)
    figures = {**total.figures, "strategy": strategy, "promised": strategy == AT_LEAST_ONCE}
    if not total.figures["lost-count"]:
        return Result(total.verdict, total.reasons, figures)
    lost = without(history.values("ok", "enqueue"), history.values("ok", "dequeue"))
    who = attribute(history, lost) or "acknowledged by their queue"
    reason = f"{total.figures['lost-count']:,} never arrived in the dead-letter queue: {who}"
    if strategy != AT_LEAST_ONCE:
        reason += f"; the strategy {strategy} promises nothing"
    return Result(total.verdict, (reason, *total.reasons[1:]), figures)  # total-queue's first tells of the lost
