"""The plan of a run: its schema, its defaults, and every problem of a plan file at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from jepsenvm.errors import UsageError

T = TypeVar("T")

QueueType = Literal["quorum", "mirrored", "classic", "stream"]
Promotion = Literal["when-synced", "always"]
PartitionHandling = Literal["ignore", "autoheal", "pause_minority"]

_NUMBER: Final = r"(\d+(?:\.\d+)?)"
_DURATION: Final = re.compile(
    rf"(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?"
)
_IN_SECONDS: Final = (3600, 60, 1, 0.001)


def seconds(text: str) -> float:
    """Return the seconds in a text like ``20s``, ``1m30s``, ``500ms`` or ``20``; raise ValueError if it is none."""
    try:
        return float(text)
    except ValueError:
        found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise ValueError("must be seconds, or a text like 20s, 1m30s or 500ms")
    # summed in milliseconds, so that 1s500ms is exactly 1.5
    return (
        sum(
            float(part) * unit * 1000
            for part, unit in zip(found.groups(), _IN_SECONDS, strict=True)
            if part
        )
        / 1000
    )


def _parsed(value: object) -> object:
    return seconds(value) if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_parsed), Field(gt=0, allow_inf_nan=False)]
SecondsOrNone = Annotated[float, BeforeValidator(_parsed), Field(ge=0, allow_inf_nan=False)]


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("must be [least, most]")
    return pair


def _one_or_list(value: object) -> str:
    return "list" if isinstance(value, list | tuple) else "one"


_Ascending = AfterValidator(_ascending)
_OneOrList = Discriminator(_one_or_list)
_TAGS: Final = frozenset({"one", "list"})
"""What the discriminator puts into the place of an error, and nobody wrote into the plan."""

Span = Annotated[
    Annotated[Seconds, Tag("one")] | Annotated[tuple[Seconds, Seconds], _Ascending, Tag("list")],
    _OneOrList,
]
SpanOrNone = Annotated[
    Annotated[SecondsOrNone, Tag("one")]
    | Annotated[tuple[SecondsOrNone, SecondsOrNone], _Ascending, Tag("list")],
    _OneOrList,
]


def bounds(span: float | tuple[float, float]) -> tuple[float, float]:
    """Return the least and the most of a span; they are the same for one that is a number."""
    return span if isinstance(span, tuple) else (span, span)


def _known_in(registry: str) -> Callable[[str, ValidationInfo], str]:
    """Return what lets a name pass if that registry, which the caller handed in, has it."""

    def known(value: str, info: ValidationInfo) -> str:
        choices = (info.context or {}).get(registry)
        if choices is not None and value not in choices:
            raise ValueError(f"must be one of {', '.join(sorted(choices))}")
        return value

    return known


def _some_fault(value: str) -> str:
    if value == "none":
        raise ValueError("none makes no faults, so it stands alone or not at all")
    return value


def _not_empty(values: tuple[T, ...]) -> tuple[T, ...]:
    # a min_length would also count what is left when every item is refused, and tell of that too
    if not values:
        raise ValueError("must not be empty")
    return values


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as problem:
        raise ValueError(f"must be a regular expression: {problem}") from None
    return text


def _snake(key: str) -> str:
    return key.replace("-", "_")


NemesisName = Annotated[str, AfterValidator(_known_in("nemesis"))]
FaultName = Annotated[NemesisName, AfterValidator(_some_fault)]
NemesisNames = Annotated[
    Annotated[NemesisName, Tag("one")]
    | Annotated[tuple[FaultName, ...], AfterValidator(_not_empty), Tag("list")],
    _OneOrList,
]


class PlannedFault(BaseModel):
    """One step of a schedule that a person wrote: when, how long, which nemesis, and what else they said."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=_kebab, validate_by_name=True
    )

    at: SecondsOrNone
    lasts: Annotated[Seconds, Field(alias="for")]
    fault: FaultName
    nodes: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    grudge: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    settings: Mapping[str, float] = Field(default_factory=dict)

    @property
    def until(self) -> float:
        """When it ends, in seconds since the load began."""
        return self.at + self.lasts


class Plan(BaseModel):
    """What one run does; every key has a default, and the same plan with the same seed does the same again."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=_kebab, validate_by_name=True
    )

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "run"
    workload: Annotated[str, AfterValidator(_known_in("workload"))] = "queue"
    queue_type: QueueType = "quorum"
    partition_handling: PartitionHandling = "autoheal"
    net_ticktime: Annotated[int, Field(ge=4, le=3600)] = 15
    nemesis: NemesisNames = "partition-random-halves"
    """A name, or names of which each fault draws one; of no meaning beside a schedule (see ``nemeses``)."""
    time_limit: Seconds = 90
    quiet_before: SpanOrNone = 15
    fault_duration: Span = 45
    overlapping: Annotated[int, Field(ge=1, le=5)] = 1
    """How many faults may be in force together."""
    schedule: Annotated[tuple[PlannedFault, ...], AfterValidator(_not_empty)] | None = None
    """Timed steps instead of a nemesis that draws them."""
    repeat_every: Seconds | None = None
    """The whole schedule begins anew every so often, as long as it fits into the time limit."""
    publishers: Annotated[int, Field(ge=1, le=100)] = 1
    """Publishers for each node, each with a connection of its own."""
    window: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Unconfirmed messages that each publisher may have in flight."""
    rate: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    """Messages a second of all publishers together; 0 is flat out."""
    messages: Annotated[int, Field(ge=1)] | None = None
    """The load ends after so many messages of all publishers together, if the time limit does not come first."""
    confirm: Literal["confirms", "transactions"] = "confirms"
    """How the broker says that it has taken a message: publisher confirms, or the commit of a transaction."""
    consumers: Annotated[int, Field(ge=0, le=1000)] = 0
    """Consumers during the load, spread over the nodes; with 0 everything is read back by the drain."""
    consume: Literal["asynchronous", "polling", "mixed"] = "asynchronous"
    """Whether the broker pushes to consumers (basic.consume), they ask (basic.get), or every other one does either."""
    prefetch: Annotated[int, Field(ge=1, le=65_535)] = 500
    """Unacknowledged deliveries that the broker may have under way to each consumer."""
    quorum_group_size: Annotated[int, Field(ge=1, le=99)] | None = None
    """How many nodes hold a quorum queue; the broker's default if not said."""
    mirrors: Annotated[int, Field(ge=1, le=99)] | Literal["all"] = 3
    """On how many nodes a mirrored queue is (ha-mode exactly), or on all."""
    promote_on_shutdown: Promotion | None = None
    promote_on_failure: Promotion | None = None
    """Which mirror may become a mirrored queue's leader; the broker's default if not said."""
    delivery_limit: Annotated[int, Field(ge=-1)] | None = None
    """So often a quorum queue takes a message back before it drops it; the broker's default if not said."""
    single_active: bool = True
    """Whether the queue of workload order lets one consumer be active at a time."""
    message_ttl: Seconds = 1
    """After so long in its queue, workload dead-letter has a message dead-lettered."""
    dead_letter_strategy: Literal["at-most-once", "at-least-once"] = "at-least-once"
    dead_letter_target: Literal["accepting", "refusing"] = "accepting"
    """Whether the dead-letter queue takes every message, or refuses those for which it has no room."""
    hold: SpanOrNone = (0.0, 1.0)
    """How long a client of workload lock holds it."""
    fenced: bool = False
    """Whether the lock's number is all that is judged, and not that it has one holder."""
    op_timeout: Seconds = 5
    recovery_deadline: Seconds = 120
    recover_within: Seconds | None = None
    """The cluster must have recovered by itself so soon after the last healing, or the run is invalid."""
    drain_deadline: Seconds = 600
    log_patterns: Mapping[str, Annotated[str, AfterValidator(_expression)]] = Field(
        default_factory=dict
    )
    """Regular expressions by name: the lines of the brokers' logs that match are counted."""
    forbidden_log_patterns: tuple[str, ...] = ()
    """The names of those of which no line may match, or the run is invalid."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @property
    def nemeses(self) -> tuple[str, ...]:
        """The names of which each fault draws one; none without faults, and none beside a schedule."""
        if self.schedule is not None or self.nemesis == "none":
            return ()
        return (self.nemesis,) if isinstance(self.nemesis, str) else self.nemesis

    @model_validator(mode="after")
    def _all_fits_together(self) -> Self:
        asked = (_workload_problems, _drawing_problems, _schedule_problems, _judging_problems)
        problems = [problem for problems_of in asked for problem in problems_of(self)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def patient(self, patience: float) -> Plan:
        """Return the same plan with every deadline so many times as long, for slow hosts."""
        longer = {
            key: getattr(self, key) * patience
            for key in ("op_timeout", "recovery_deadline", "drain_deadline")
        }
        return self.model_copy(update=longer)

    def to_yaml(self) -> str:
        """Return the plan as a plan file that gives this plan again."""
        document = self.model_dump(by_alias=True, mode="json")
        foreign = [key for key, type_ in _OF_ONE_TYPE.items() if self.queue_type != type_]
        document = {key: value for key, value in document.items() if key not in foreign}
        if self.schedule is not None:
            document = {key: value for key, value in document.items() if key not in _DRAWN_ONLY}
            document["schedule"] = [
                step.model_dump(by_alias=True, mode="json", exclude_defaults=True)
                for step in self.schedule
            ]
        return yaml.safe_dump(document, sort_keys=False)


_DRAWN_ONLY: Final = ("nemesis", "quiet-before", "fault-duration", "overlapping")
"""The keys that say how faults are drawn, which is of no meaning beside a schedule."""


QUEUE_TYPES: Final[Mapping[str, tuple[QueueType, ...]]] = {
    "queue": ("quorum", "mirrored", "classic", "stream"),
    "dead-letter": ("quorum",),
    "order": ("quorum", "mirrored", "classic"),
    "lock": ("quorum", "mirrored", "classic"),
    "stream": ("stream",),
    "redelivery": ("quorum",),
}
"""The types of queue that each workload can be about."""

DEFAULTS: Final[Mapping[str, Mapping[str, object]]] = {
    "order": {"consumers": 5, "prefetch": 1},
    "redelivery": {"consumers": 5, "prefetch": 20},
    "stream": {"queue-type": "stream"},
}
"""What a workload has for a default where it differs from the others'."""


_OF_ONE_TYPE: Final[Mapping[str, QueueType]] = {
    "quorum-group-size": "quorum",
    "delivery-limit": "quorum",
    "mirrors": "mirrored",
    "promote-on-shutdown": "mirrored",
    "promote-on-failure": "mirrored",
}


def _workload_problems(plan: Plan) -> list[str]:
    """Return why the keys of a plan do not go with its workload."""
    types = QUEUE_TYPES.get(plan.workload, ())
    problems = []
    if types and plan.queue_type not in types:
        problems.append(
            f"workload {plan.workload} is about queue-type {' or '.join(types)}, not {plan.queue_type}"
        )
    problems += [
        f"{key} goes only with queue-type {type_}"
        for key, type_ in _OF_ONE_TYPE.items()
        if _snake(key) in plan.model_fields_set and plan.queue_type != type_
    ]
    if plan.queue_type == "stream" and plan.consumers:
        problems.append(
            "consumers must be 0 with queue-type stream: each of them would get all of it"
        )
    if plan.fenced and plan.queue_type != "quorum":
        problems.append("fenced goes only with queue-type quorum, which counts deliveries")
    if plan.confirm == "transactions" and plan.queue_type not in {"classic", "mirrored"}:
        problems.append(
            f"transactions are not for queue-type {plan.queue_type}: use classic or mirrored"
        )
    if plan.confirm == "transactions" and plan.window > 1:
        problems.append(
            "with transactions each publisher has one message under way: window must be 1"
        )
    return problems


def _drawing_problems(plan: Plan) -> list[str]:
    """Return why no fault would ever be drawn."""
    least = bounds(plan.quiet_before)[0] + bounds(plan.fault_duration)[0]
    if not plan.nemeses or least <= plan.time_limit:
        return []
    return [
        f"time-limit ({plan.time_limit:g} s) must be at least quiet-before + fault-duration "
        f"({least:g} s), or no fault would ever be injected"
    ]


def _schedule_problems(plan: Plan) -> list[str]:
    """Return why the keys of a plan do not go with its schedule."""
    if plan.schedule is None:
        return ["repeat-every goes only with schedule"] if plan.repeat_every is not None else []
    surplus = [key for key in _DRAWN_ONLY if _snake(key) in plan.model_fields_set]
    problems = (
        [f"schedule stands instead of {', '.join(surplus)}: give one or the other"]
        if surplus
        else []
    )
    problems += [
        f"schedule item {number} ({step.fault}, at {step.at:g} s for {step.lasts:g} s) ends after "
        f"time-limit ({plan.time_limit:g} s)"
        for number, step in enumerate(plan.schedule, start=1)
        if step.until > plan.time_limit
    ]
    takes = max(step.until for step in plan.schedule) - min(step.at for step in plan.schedule)
    if plan.repeat_every is not None and plan.repeat_every < takes:
        problems.append(
            f"repeat-every ({plan.repeat_every:g} s) is shorter than the schedule takes ({takes:g} s)"
        )
    return problems


def _judging_problems(plan: Plan) -> list[str]:
    """Return why a run could not be judged as the plan wants."""
    problems = [
        f"forbidden-log-patterns: {name!r} is none of log-patterns"
        for name in plan.forbidden_log_patterns
        if name not in plan.log_patterns
    ]
    if plan.recover_within is not None and plan.recover_within > plan.recovery_deadline:
        problems.append(
            f"recover-within ({plan.recover_within:g} s) must not be longer than recovery-deadline "
            f"({plan.recovery_deadline:g} s), after which nodes are restarted"
        )
    return problems


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets a later key silently replace an earlier one; a plan must not."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key '{key}' stands twice", node.start_mark
            )
    return {
        loader.construct_object(k): loader.construct_object(v, deep=True) for k, v in node.value
    }


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read(text: str, source: str) -> Mapping[str, object]:
    """Return a plan file's keys and values as they stand; raise UsageError, naming the source, if it is no mapping."""
    try:
        document = yaml.load(text, _UniqueKeys)  # noqa: S506 - _UniqueKeys is a SafeLoader
    except yaml.YAMLError as problem:
        raise UsageError(f"{source}: not readable as YAML: {problem}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UsageError(
            f"{source}: a plan is a mapping of keys to values",
            remedy="write lines like 'time-limit: 60'",
        )
    return {str(key): value for key, value in document.items()}


def resolve(
    document: Mapping[str, object],
    source: str,
    workloads: Collection[str],
    nemeses: Collection[str],
) -> Plan:
    """Return the plan that a document describes; raise UsageError with every problem of it in one line."""
    defaults = DEFAULTS.get(str(document.get("workload", "queue")), {})
    try:
        return Plan.model_validate(
            {**defaults, **document},
            by_name=False,
            by_alias=True,
            context={"workload": workloads, "nemesis": nemeses},
        )
    except ValidationError as problems:
        raise UsageError(
            f"{source}: " + "; ".join(_sentence(error) for error in problems.errors())
        ) from None


def _sentence(error: Any) -> str:
    places = [
        f"item {part + 1}" if isinstance(part, int) else str(part)
        for part in error["loc"]
        if part not in _TAGS
    ]
    key = " ".join(places)
    if error["type"] == "extra_forbidden":
        model = PlannedFault if len(places) > 1 else Plan
        known = ", ".join(sorted(field.alias or name for name, field in model.model_fields.items()))
        where = f"{' '.join(places[:-1])}: " if len(places) > 1 else ""
        return f"{where}unknown key '{places[-1]}' (known: {known})"
    text = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{key}: must be given"
    return f"{key}: {text} (found {error['input']!r})" if key else text
