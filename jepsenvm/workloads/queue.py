"""queue: unique integers go in, and the same integers must come out."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, Final

from jepsenvm.checkers.exercise import Exercise
from jepsenvm.checkers.foreign_queue import foreign_queue
from jepsenvm.checkers.total_queue import NOTHING_ACKNOWLEDGED, total_queue
from jepsenvm.checkers.verdict import Checker
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.plan.plan import Plan
from jepsenvm.workloads.context import Context, GetQueueStatus
from jepsenvm.workloads.publishers import publishers_and_consumers
from jepsenvm.workloads.stream import drain_once
from jepsenvm.workloads.workload import Workload


class QueueWorkload(Workload[WorkloadOptions]):
    """Publishes unique integers, and reads everything back in the drain; see total-queue."""

    name = "queue"
    about = "unique integers go in, and the same integers must come out"
    invalid_when = "a confirmed message is lost, or a message arrives changed or was never sent"
    options = WorkloadOptions
    queue_types = ("quorum", "mirrored", "classic", "stream")
    plan_consumers = True
    main_checker = "total-queue"
    exercise = Exercise(
        ("enqueue", "dequeue", "drain"), {"load-acknowledged-count": NOTHING_ACKNOWLEDGED}
    )
    foreign_checker = staticmethod(foreign_queue)

    def checkers(self, plan: Plan) -> Mapping[str, Checker]:  # noqa: ARG002 - the same for all plans
        """Return total-queue. A run always drains, so a history without a drain is unfinished."""
        return {self.main_checker: partial(total_queue, drain_required=True)}

    def load(self, context: Context) -> list[Coroutine[Any, Any, None]]:
        """Return the publishers, and the plan's consumers."""
        return publishers_and_consumers(context)

    async def drain(self, context: Context, queue_status: GetQueueStatus) -> None:
        """Read a queue until it is empty, or a stream to its end."""
        if context.plan.queue_type == "stream":
            await drain_once(context)
        else:
            await super().drain(context, queue_status)


WORKLOAD: Final = QueueWorkload()
