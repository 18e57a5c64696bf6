"""dead-letter: messages that leave their queue must arrive in the dead-letter queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jepsenvm.checkers.loss_attribution import attribute
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Result
from jepsenvm.checkers.wording import counted
from jepsenvm.history.table import History, Ints

AT_LEAST_ONCE: Final = "at-least-once"
"""The only strategy with a guarantee: https://www.rabbitmq.com/docs/quorum-queues#dead-lettering"""


def dead_letter(history: History, *, strategy: str) -> Result:
    """Judge the dead-letter queue like total-queue; the dequeues are those of that queue.

    ``strategy`` is the queue's ``dead-letter-strategy``. What it guarantees changes the reasons
    but not the verdict: a message that did not arrive is lost.
    """
    promised = strategy == AT_LEAST_ONCE

    def describe_lost(history: History, lost: Ints, count: int) -> Sequence[str]:
        confirmed = attribute(history, lost) or "acknowledged by their queue"
        excuse = "" if promised else f"; the strategy {strategy} guarantees nothing"
        return [
            f"{counted(count, 'message')} never arrived in the dead-letter queue: "
            f"{confirmed}{excuse}"
        ]

    total = total_queue(history, drain_required=True, describe_lost=describe_lost)
    figures = {**total.figures, "strategy": strategy, "promised": promised}
    return Result(total.verdict, total.reasons, figures)
