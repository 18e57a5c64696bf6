"""One item of a plan's schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, Field

from jepsenvm.plan.durations import Seconds, SecondsOrZero
from jepsenvm.plan.field_types import MODEL_CONFIG, FaultName, FeatureFlag


class ScheduleItem(BaseModel):
    """One fault of a schedule: when it begins, how long it lasts, and its nemesis."""

    model_config = MODEL_CONFIG

    at: SecondsOrZero = Field(
        description="When the fault begins, counted from the start of the load or of the "
        "repetition."
    )
    lasts: Annotated[Seconds, Field(alias="for")] = Field(
        description="How long the fault lasts. It must end before `time-limit`."
    )
    fault: FaultName = Field(description="The nemesis.")
    nodes: tuple[str, ...] = Field(
        default=(), description="The nodes that it acts on. By default they are drawn."
    )
    groups: tuple[tuple[str, ...], ...] = Field(
        default=(),
        description="Lists of nodes. Nodes in no list form one more group, except in "
        "`partition-one-way` with two groups.",
    )
    grudge: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="For `partition` only: a node, and the nodes from which it drops packets.",
    )
    settings: Mapping[str, float] = Field(
        default_factory=dict, description="Settings of the nemesis that differ from its defaults."
    )

    flag: FeatureFlag | None = Field(
        default=None,
        description="For `feature-flag` only: the feature flag of RabbitMQ that it enables. None: "
        "all stable ones.",
    )

    @property
    def until(self) -> float:
        """When the fault ends, in seconds since the load began."""
        return self.at + self.lasts
