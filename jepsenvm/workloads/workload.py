"""The base class of workloads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from jepsenvm.checkers.availability import DEFAULT_IGNORED
from jepsenvm.checkers.exercise import Exercise, exercised
from jepsenvm.checkers.new_subscriptions import new_subscriptions
from jepsenvm.checkers.total_queue import TOTAL_QUEUE_PLOTS, total_queue_headline
from jepsenvm.checkers.verdict import Checker
from jepsenvm.plan.consumer_keys import exceeds_timeout
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.queue_types import MinimumVersion, QueueType
from jepsenvm.workloads.context import Context, GetQueueStatus
from jepsenvm.workloads.declare import declare, queue_arguments
from jepsenvm.workloads.drain import drain

Options = TypeVar("Options", bound=WorkloadOptions, covariant=True)  # noqa: PLC0105
Figures = Mapping[str, Any]


class Workload(ABC, Generic[Options]):
    """What a run does to the broker, and how its history is checked.

    A workload is one file with a subclass, and one entry in ``registry.py``. Attributes without
    a value here must be set. ``Options`` is the model of the workload's own plan keys.
    """

    name: str
    about: str
    """One line for the documentation and the help."""
    invalid_when: str
    """The anomalies that make its verdict ``invalid``, for the documentation."""
    options: type[Options]
    defaults: Mapping[str, object] = {}
    """Defaults of plan keys, by key, where they differ from the other workloads' defaults."""
    queue_types: Sequence[QueueType] = ("quorum", "mirrored", "classic")
    """The queue types that the workload can use; the first is its default."""

    uses_queue: bool = True
    """Whether the load uses the run's queue. Some faults act on its leader or its replicas."""
    plan_consumers: bool = False
    """Whether the load's consumers follow the plan's keys for consumers, such as
    ``consumer-churn``."""
    load_processes: bool = False
    """Whether the load can run in several processes (the plan key ``workers``). Its clients are
    then in ``context.share``, and know nothing of each other."""

    many_queues: bool = False
    """Whether the workload follows the plan's keys ``queues``, ``exchange`` and ``fan-out``."""

    main_checker: str
    """The checker of what the workload tests. The terminal and the report show its figures."""
    exercise: Exercise
    """What a history must contain, by the figures of the main checker, to be judged valid."""
    acknowledgements: Sequence[str] = ("enqueue",)
    """Ops by which the broker gives a guarantee when they are ok: to keep a message, to grant a
    lock. A fault counts only if such ops were ok while it was in force."""
    not_availability: Sequence[str] = DEFAULT_IGNORED
    """Ops that do not show whether a node serves the load: they follow the load, or the broker
    sends them without a request."""
    plots: Mapping[str, str] = TOTAL_QUEUE_PLOTS
    """What an ok op has done, by op, for the titles of the report's plots."""

    @abstractmethod
    def checkers(self, plan: Plan) -> Mapping[str, Checker]:
        """Return the checkers of a run's history, by name; ``main_checker`` is one of them.

        Analyses call ``exercised_checkers``, which never judge what was not tested to be valid.
        """

    def exercised_checkers(self, plan: Plan) -> Mapping[str, Checker]:
        """Return the checkers of a run; the main one is unknown without the ``exercise``.

        ``new-subscriptions`` is one of them if the load's consumers follow the plan.
        """
        checkers = dict(self.checkers(plan))
        checkers[self.main_checker] = exercised(checkers[self.main_checker], self.exercise)
        if self.plan_consumers and plan.consumers:
            checkers["new-subscriptions"] = partial(
                new_subscriptions,
                churn=plan.consumer_churn is not None,
                crash=plan.consumer_crash is not None,
                timeout=exceeds_timeout(plan),
            )
        return checkers

    def headline(self, figures: Figures) -> str:
        """Return the main checker's figures in one line.

        By default these are the figures of total-queue.
        """
        return total_queue_headline(figures)

    def problems(self, plan: Plan) -> Sequence[str]:  # noqa: ARG002 - for subclasses
        """Return why the workload cannot follow a plan, beyond its queue type; empty if it can."""
        return ()

    def minimum_version(self, plan: Plan) -> MinimumVersion | None:  # noqa: ARG002 - for subclasses
        """Return the feature that the plan needs and its first RabbitMQ version, if any.

        The versions of queue types are in ``jepsenvm.plan.queue_types``.
        """
        return None

    def options_of(self, plan: Plan) -> Options:
        """Return the workload's own options in a plan; their defaults if the plan has none.

        Raises TypeError if the plan has the options of another workload.
        """
        if isinstance(plan.options, self.options):
            return plan.options
        if type(plan.options) is WorkloadOptions:
            return self.options()
        raise TypeError(
            f"workload {self.name} has {self.options.__name__}, not {type(plan.options).__name__}"
        )

    async def setup(self, context: Context, old_queues: Sequence[str]) -> None:
        """Delete the queues of earlier runs, by name, and declare this run's queues."""
        await declare(context, old_queues, {context.queue: queue_arguments(context.plan)})

    @abstractmethod
    def load(self, context: Context) -> Sequence[Coroutine[Any, Any, None]]:
        """Return the clients of the load. They run until ``context.stop`` is set or they finish."""

    async def drain(self, context: Context, queue_status: GetQueueStatus) -> None:
        """Read back everything after the load and the recovery, and record whether it finished."""
        await drain(context, queue_status)
