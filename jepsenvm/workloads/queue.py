"""queue: unique integers go in, and the same integers must come out."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final

from jepsenvm.checkers.many_queues import many_queues
from jepsenvm.checkers.total_queue import TOTAL_QUEUE_EXERCISE, total_queue
from jepsenvm.checkers.verdict import Checker
from jepsenvm.checkers.wording import counted
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.plan.plan import Plan
from jepsenvm.workloads.context import Context, GetQueueStatus
from jepsenvm.workloads.declare_many import declare_many
from jepsenvm.workloads.drain_many import drain_many
from jepsenvm.workloads.publishers import publishers_and_consumers
from jepsenvm.workloads.stream import drain_once
from jepsenvm.workloads.workload import Figures, Workload


class QueueWorkload(Workload[WorkloadOptions]):
    """Publishes unique integers, and reads everything back in the drain; see total-queue."""

    name = "queue"
    about = "unique integers go in, and the same integers must come out"
    invalid_when = "a confirmed message is lost, or a message arrives changed or was never sent"
    options = WorkloadOptions
    queue_types = ("quorum", "mirrored", "classic", "stream")
    plan_consumers = True
    many_queues = True
    load_processes = True
    main_checker = "total-queue"
    exercise = TOTAL_QUEUE_EXERCISE

    def checkers(self, plan: Plan) -> Mapping[str, Checker]:
        """Return total-queue. A run always drains, so a history without a drain is unfinished."""
        if plan.routing.is_plain:
            return {self.main_checker: partial(total_queue, drain_required=True)}
        return {self.main_checker: partial(many_queues, routing=plan.routing)}

    def headline(self, figures: Figures) -> str:
        """Return the figures of total-queue, and how many queues there are."""
        headline = super().headline(figures)
        if "queue-count" not in figures:
            return headline
        queues = counted(figures["queue-count"], "queue")
        copies = f", {figures['fan-out']} copies of each message" if figures["fan-out"] > 1 else ""
        return f"{headline} ({queues}{copies})"

    async def setup(self, context: Context, old_queues: Sequence[str]) -> None:
        """Delete the queues of earlier runs, and declare this run's queues and their routing."""
        if context.plan.routing.is_plain:
            await super().setup(context, old_queues)
        else:
            await declare_many(context, old_queues)

    def load(self, context: Context) -> list[Coroutine[Any, Any, None]]:
        """Return the publishers, and the plan's consumers."""
        return publishers_and_consumers(context)

    async def drain(self, context: Context, queue_status: GetQueueStatus) -> None:
        """Read the queues until they are empty, or a stream to its end."""
        if context.plan.queue_type == "stream":
            await drain_once(context)
        elif not context.plan.routing.is_plain:
            await drain_many(context)
        else:
            await super().drain(context, queue_status)


WORKLOAD: Final = QueueWorkload()
