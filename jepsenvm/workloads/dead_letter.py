"""dead-letter: messages expire in one quorum queue and must arrive in its dead-letter queue."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal

from pydantic import Field

from jepsenvm.checkers.dead_letter import dead_letter
from jepsenvm.checkers.exercise import Exercise
from jepsenvm.checkers.total_queue import NOTHING_ACKNOWLEDGED
from jepsenvm.checkers.verdict import Checker
from jepsenvm.plan.durations import Seconds
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.queue_types import MinimumVersion
from jepsenvm.workloads.context import Context, GetQueueStatus
from jepsenvm.workloads.declare import declare, queue_arguments
from jepsenvm.workloads.drain import drain_queues
from jepsenvm.workloads.publishers import publishers_only
from jepsenvm.workloads.workload import Workload

REFUSING_ARGUMENTS: Final[Mapping[str, Any]] = {
    # A full classic queue refuses dead letters too. A quorum queue with reject-publish refuses
    # only what a client publishes, and accepts dead letters: rabbitmq-server issue 8495, and
    # measured on 3.10.8.
    "x-queue-type": "classic",
    "x-max-length": 100,
    "x-overflow": "reject-publish",
}


class DeadLetterOptions(WorkloadOptions):
    """The plan keys of workload dead-letter."""

    message_ttl: Seconds = Field(
        default=1,
        description="Time after which a message is dead-lettered (`x-message-ttl`).",
    )
    dead_letter_strategy: Literal["at-most-once", "at-least-once"] = Field(
        default="at-least-once", description="The queue's `x-dead-letter-strategy`."
    )
    dead_letter_target: Literal["accepting", "refusing"] = Field(
        default="accepting",
        description="`accepting`: the dead-letter queue accepts every message. `refusing`: it has "
        "room for 100 messages and refuses others.",
    )


class DeadLetterWorkload(Workload[DeadLetterOptions]):
    """Lets every message expire, and drains the dead-letter queue."""

    name = "dead-letter"
    about = "messages expire in one quorum queue and are dead-lettered into another queue"
    invalid_when = "a confirmed message never arrives in the dead-letter queue"
    options = DeadLetterOptions
    queue_types = ("quorum",)
    load_processes = True
    main_checker = "dead-letter"
    exercise = Exercise(
        ("enqueue", "dequeue", "drain"),
        {
            "load-acknowledged-count": NOTHING_ACKNOWLEDGED,
            "ok-count": "no message arrived in the dead-letter queue",
        },
    )

    def checkers(self, plan: Plan) -> Mapping[str, Checker]:
        """Return the dead-letter checker with the plan's strategy."""
        strategy = self.options_of(plan).dead_letter_strategy
        return {self.main_checker: partial(dead_letter, strategy=strategy)}

    def minimum_version(self, plan: Plan) -> MinimumVersion | None:  # noqa: ARG002 - for all plans
        """Return RabbitMQ 3.10: messages of older quorum queues do not expire."""
        return MinimumVersion("messages of quorum queues that expire", (3, 10))

    async def setup(self, context: Context, old_queues: Sequence[str]) -> None:
        """Declare the dead-letter queue, and the queue in which messages expire."""
        plan, options = context.plan, self.options_of(context.plan)
        target = dead_letter_queue(context)
        expiring = {
            "x-message-ttl": round(options.message_ttl * 1000),
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": target,
            "x-dead-letter-strategy": options.dead_letter_strategy,
            # RabbitMQ falls back to at-most-once without this overflow behaviour.
            "x-overflow": "reject-publish",
        }
        target_arguments = (
            REFUSING_ARGUMENTS
            if options.dead_letter_target == "refusing"
            else queue_arguments(plan)
        )
        queues = {target: target_arguments, context.queue: {**queue_arguments(plan), **expiring}}
        await declare(context, old_queues, queues)

    def load(self, context: Context) -> list[Coroutine[Any, Any, None]]:
        """Return the publishers. Nobody consumes, so that every message expires."""
        return publishers_only(context)

    async def drain(self, context: Context, queue_status: GetQueueStatus) -> None:
        """Read the dead-letter queue until both queues are empty."""
        target = dead_letter_queue(context)
        await drain_queues(context, queue_status, target, [context.queue, target])


def dead_letter_queue(context: Context) -> str:
    """Return the name of the dead-letter queue."""
    return f"{context.queue}.dead"


WORKLOAD: Final = DeadLetterWorkload()
