"""The plan of a run: its schema, its defaults, and every problem of a plan file at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from jepsenvm.errors import Refused

QueueType = Literal["quorum", "mirrored", "classic"]
PartitionHandling = Literal["ignore", "autoheal", "pause_minority"]

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SecondsOrNone = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _known(value: str, info: ValidationInfo) -> str:
    """Return the value if the registry that the caller handed in has it."""
    choices = (info.context or {}).get(info.field_name)
    if choices is not None and value not in choices:
        raise ValueError(f"must be one of {', '.join(sorted(choices))}")
    return value


class Plan(BaseModel):
    """What one run does; every key has a default, and the same plan with the same seed does the same again."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: name.replace("_", "-"), validate_by_name=True
    )

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "run"
    workload: Annotated[str, AfterValidator(_known)] = "queue"
    queue_type: QueueType = "quorum"
    partition_handling: PartitionHandling = "autoheal"
    net_ticktime: Annotated[int, Field(ge=4, le=3600)] = 15
    nemesis: Annotated[str, AfterValidator(_known)] = "partition-random-halves"
    time_limit: Seconds = 90
    quiet_before: SecondsOrNone = 15
    fault_duration: Seconds = 45
    publishers: Annotated[int, Field(ge=1, le=100)] = 1
    """Publishers for each node, each with a connection of its own."""
    window: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Unconfirmed messages that each publisher may have in flight."""
    rate: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    """Messages a second of all publishers together; 0 is flat out."""
    messages: Annotated[int, Field(ge=1)] | None = None
    """The load ends after so many messages of all publishers together, if the time limit does not come first."""
    consumers: Annotated[int, Field(ge=0, le=1000)] = 0
    """Consumers during the load, spread over the nodes; with 0 everything is read back by the drain."""
    op_timeout: Seconds = 5
    recovery_deadline: Seconds = 120
    drain_deadline: Seconds = 600
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="after")
    def _a_fault_fits(self) -> Self:
        if self.nemesis != "none" and self.quiet_before + self.fault_duration > self.time_limit:
            raise ValueError(
                f"time-limit ({self.time_limit:g} s) must be at least quiet-before + fault-duration "
                f"({self.quiet_before + self.fault_duration:g} s), or no fault would ever be injected"
            )
        return self

    def to_yaml(self) -> str:
        """Return the plan as a plan file that gives this plan again."""
        return yaml.safe_dump(self.model_dump(by_alias=True, mode="json"), sort_keys=False)


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets a later key silently replace an earlier one; a plan must not."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' stands twice", node.start_mark)
    return {loader.construct_object(k): loader.construct_object(v, deep=True) for k, v in node.value}


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read(text: str, source: str) -> Mapping[str, object]:
    """Return a plan file's keys and values as they stand; raise Refused, naming the source, if it is no mapping."""
    try:
        document = yaml.load(text, _UniqueKeys)  # noqa: S506 - _UniqueKeys is a SafeLoader
    except yaml.YAMLError as problem:
        raise Refused(f"{source}: not readable as YAML: {problem}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise Refused(f"{source}: a plan is a mapping of keys to values", remedy="write lines like 'time-limit: 60'")
    return {str(key): value for key, value in document.items()}


def resolve(document: Mapping[str, object], source: str, workloads: Collection[str], nemeses: Collection[str]) -> Plan:
    """Return the plan that a document describes; raise Refused with every problem of it in one line."""
    try:
        return Plan.model_validate(
            document, by_name=False, by_alias=True, context={"workload": workloads, "nemesis": nemeses}
        )
    except ValidationError as problems:
        raise Refused(f"{source}: " + "; ".join(_sentence(error) for error in problems.errors())) from None


def _sentence(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = ", ".join(sorted(field.alias or name for name, field in Plan.model_fields.items()))
        return f"unknown key '{key}' (known: {known})"
    text = error["msg"].removeprefix("Value error, ")
    return f"{key}: {text} (found {error['input']!r})" if key else text
