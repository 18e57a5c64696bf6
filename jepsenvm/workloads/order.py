"""order: messages of one publisher are delivered in the order in which they were published."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final

from pydantic import Field

from jepsenvm.checkers.order import ORDER_EXERCISE, order, order_headline
from jepsenvm.checkers.verdict import Checker
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.plan.plan import Plan
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.declare import declare, queue_arguments
from jepsenvm.workloads.publishers import publishers_and_consumers
from jepsenvm.workloads.workload import Figures, Workload


class OrderOptions(WorkloadOptions):
    """The plan keys of workload order."""

    single_active: bool = Field(
        default=True,
        description="Declares the queue with `x-single-active-consumer`: one consumer is active "
        "at a time.",
    )


class OrderWorkload(Workload[OrderOptions]):
    """Consumes while it publishes, and checks the order of deliveries."""

    name = "order"
    about = "messages of one publisher, consumed during the load, keep their order"
    invalid_when = (
        "a delivery goes backwards that is neither flagged as redelivered nor a duplicate, a "
        "confirmed message is lost, or two consumers are active at once"
    )
    options = OrderOptions
    # When the active consumer changes, the checker must tolerate as many late deliveries as the
    # prefetch. With 1 it is strictest.
    defaults: Mapping[str, object] = {"consumers": 5, "prefetch": 1}
    plan_consumers = True
    load_processes = True
    main_checker = "order"
    exercise = ORDER_EXERCISE

    def checkers(self, plan: Plan) -> Mapping[str, Checker]:
        """Return the order checker; with several active consumers it compares less."""
        single_active = self.options_of(plan).single_active
        return {
            self.main_checker: partial(order, single_active=single_active, prefetch=plan.prefetch)
        }

    def headline(self, figures: Figures) -> str:
        """Return the figures of total-queue, and the violations of the order."""
        return order_headline(figures)

    async def setup(self, context: Context, old_queues: Sequence[str]) -> None:
        """Declare the queue, with a single active consumer unless the plan says otherwise."""
        arguments = queue_arguments(context.plan)
        if self.options_of(context.plan).single_active:
            arguments["x-single-active-consumer"] = True
        await declare(context, old_queues, {context.queue: arguments})

    def load(self, context: Context) -> list[Coroutine[Any, Any, None]]:
        """Return the publishers and the consumers."""
        single_active = self.options_of(context.plan).single_active
        return publishers_and_consumers(context, single_active=single_active)


WORKLOAD: Final = OrderWorkload()
