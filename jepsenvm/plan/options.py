"""The plan keys of one workload, and the facts about workloads that a plan needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel

from jepsenvm.plan.field_types import MODEL_CONFIG
from jepsenvm.plan.queue_types import QueueType

if TYPE_CHECKING:
    from jepsenvm.plan.plan import Plan


class WorkloadOptions(BaseModel):
    """The plan keys of one workload. A workload with keys of its own derives from this class."""

    model_config = MODEL_CONFIG


class WorkloadRules(Protocol):
    """The facts about a workload that reading a plan file needs.

    The caller passes its workloads, because the plan package imports no other package.
    """

    @property
    def options(self) -> type[WorkloadOptions]:
        """The model of the workload's own plan keys."""

    @property
    def defaults(self) -> Mapping[str, object]:
        """Defaults of plan keys, by key, where they differ from the other workloads' defaults."""

    @property
    def queue_types(self) -> Sequence[QueueType]:
        """The queue types that the workload can use."""

    @property
    def plan_consumers(self) -> bool:
        """Whether the load's consumers follow the plan's keys for consumers."""

    @property
    def many_queues(self) -> bool:
        """Whether the workload follows the plan's keys for queues and exchanges."""

    @property
    def load_processes(self) -> bool:
        """Whether its load can run in several processes."""

    def problems(self, plan: Plan) -> Sequence[str]:
        """Return why the workload cannot follow a plan; empty if it can."""
