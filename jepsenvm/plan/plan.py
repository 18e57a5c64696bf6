"""The plan of a run: every key with its default, and the rules that keys must meet together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SerializeAsAny,
    ValidationInfo,
    model_validator,
)

from jepsenvm.plan.consumer_keys import consumer_problems
from jepsenvm.plan.durations import Seconds, SecondsRange, SecondsRangeOrZero, Unit, bounds
from jepsenvm.plan.field_types import (
    MODEL_CONFIG,
    NO_FAULTS,
    FeatureFlag,
    NemesisNames,
    RegularExpression,
    UpgradeTarget,
    WorkloadName,
    not_empty,
    snake,
)
from jepsenvm.plan.message_sizes import MessageSize
from jepsenvm.plan.options import WorkloadOptions, WorkloadRules
from jepsenvm.plan.queue_types import (
    QueueType,
    keys_of_one_queue_type,
    queue_type_spec,
    queue_types_with_transactions,
)
from jepsenvm.plan.rate import Rate
from jepsenvm.plan.routing import (
    MOST_COPIES,
    MOST_QUEUES,
    ExchangeType,
    Routing,
    routing_problems,
)
from jepsenvm.plan.schedule_item import ScheduleItem

Promotion = Literal["when-synced", "always"]
PartitionHandling = Literal["ignore", "autoheal", "pause_minority"]

DRAWING_KEYS: Final = ("nemesis", "quiet-before", "fault-duration", "overlapping")
"""The keys that decide how faults are drawn. A plan with a schedule has none of them."""


MIN_STEP_S: Final = 0.1
"""The shortest time, in seconds, after which faults repeat. To inject one takes longer."""

MAX_FAULTS: Final = 20_000
"""The largest number of faults of a plan: one every 4.3 s for a day."""


class Plan(BaseModel):
    """The plan of one run. The same plan with the same seed gives the same ops and faults.

    In Python, give the workload's own keys as ``options``, such as
    ``Plan(workload="lock", options=LockOptions(fenced=True))``. In a plan file they stand beside
    the other keys.
    """

    model_config = MODEL_CONFIG

    name: str = Field(
        default="run",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="The name of the run, and of its directory in the store.",
    )
    workload: WorkloadName = Field(
        default="queue", description="The operations that load the broker, and their checkers."
    )
    options: SerializeAsAny[WorkloadOptions] = Field(
        default=WorkloadOptions(), description="The workload's own keys."
    )
    queue_type: QueueType = Field(default="quorum", description="The type of the run's queue.")
    queues: int = Field(
        default=1,
        ge=1,
        le=MOST_QUEUES,
        description="Number of queues, over which publishers and consumers are spread. Workload "
        "`queue` only, and no stream.",
    )
    exchange: ExchangeType = Field(
        default="default",
        description="The exchange to which messages are published: RabbitMQ's default exchange, "
        "or a durable exchange of this type that the run declares and binds to its queues. "
        "Workload `queue` only.",
    )
    fan_out: int = Field(
        default=1,
        ge=1,
        le=MOST_COPIES,
        description="To how many queues each message is routed. Each copy is judged. Needs "
        "another `exchange` than `default`.",
    )
    partition_handling: PartitionHandling = Field(
        default="autoheal",
        description="RabbitMQ's `cluster_partition_handling`. Without effect from RabbitMQ 4.3 on.",
    )
    net_ticktime: Annotated[int, Unit("seconds")] = Field(
        default=15,
        ge=4,
        le=3600,
        description="Silence after which a node considers another node down "
        "(Erlang's `net_ticktime`). Whole seconds.",
    )
    nemesis: NemesisNames = Field(
        default="partition-random-halves",
        description="The nemesis; `none` for no faults. From a list, each fault draws one; "
        "a name that is listed twice is drawn twice as often.",
    )
    time_limit: Seconds = Field(default=90, description="How long the load lasts.")
    quiet_before: SecondsRangeOrZero = Field(
        default=15,
        description="Time without a fault before each fault. From a pair `[5, 20]`, each is drawn.",
    )
    fault_duration: SecondsRange = Field(
        default=45,
        description="How long each fault lasts, or a pair from which each is drawn. Faults repeat "
        "while a whole one fits into `time-limit`.",
    )
    overlapping: int = Field(
        default=1,
        ge=1,
        le=5,
        description="How many faults may be in force at the same time. Each of these lanes "
        "draws its own faults.",
    )
    schedule: Annotated[tuple[ScheduleItem, ...], AfterValidator(not_empty)] | None = Field(
        default=None,
        description="Faults with fixed times, instead of `nemesis`, `quiet-before`, "
        "`fault-duration` and `overlapping`.",
    )
    repeat_every: Seconds | None = Field(
        default=None,
        description="Repeats the schedule at this interval, while the whole schedule fits into "
        "`time-limit`.",
    )
    publishers: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Publishers (or clients of `lock` and `topology`) per node, each with its own "
        "connection.",
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Load processes that share the publishers and consumers, each with its own "
        "segment of the history. A process uses one core at most. Needs at least as many "
        "publishers on all nodes together.",
    )
    window: Annotated[int, Unit("messages")] = Field(
        default=1,
        ge=1,
        le=10_000,
        description="Unconfirmed messages that each publisher may have in flight.",
    )
    rate: Rate = Field(
        default=0,
        description="Publishing rate of all publishers together; 0 for no limit. A list of pieces "
        "changes it over time.",
    )
    messages: Annotated[int, Field(ge=1, le=10**15), Unit("messages")] | None = Field(
        default=None,
        description="Ends the load after this number of messages from all publishers together, "
        "or at `time-limit` if that comes first.",
    )
    message_size: MessageSize | None = Field(
        default=None,
        description="Size of each message's body in bytes, or a pair `[64, 8192]` from which each "
        "is drawn. The body then has a checksum, and a body that came back changed is `corrupted`. "
        "None sends bare integers.",
    )
    confirm: Literal["confirms", "transactions"] = Field(
        default="confirms",
        description="How the broker acknowledges a message: publisher confirms, or the commit of "
        "a transaction (classic and mirrored queues, `window` 1).",
    )
    consumers: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Consumers during the load, distributed over the nodes. With 0, only the "
        "drain reads.",
    )
    consume: Literal["asynchronous", "polling", "mixed"] = Field(
        default="asynchronous",
        description="`asynchronous`: the broker pushes to consumers (`basic.consume`). `polling`: "
        "consumers ask (`basic.get`). `mixed`: consumers alternate between the two.",
    )
    prefetch: Annotated[int, Unit("messages")] = Field(
        default=500,
        ge=1,
        le=65_535,
        description="Unacknowledged deliveries that each consumer may have.",
    )
    consumer_churn: SecondsRange | None = Field(
        default=None,
        description="Time after which each consumer cancels its subscription and subscribes again "
        "on the same channel, in turn with the same consumer tag and with a new one. None: never.",
    )
    consumer_crash: SecondsRange | None = Field(
        default=None,
        description="Time after which each consumer breaks its connection off, without AMQP's "
        "closing handshake and with unacknowledged messages, and connects again. None: never.",
    )
    consumer_delay: SecondsRange | None = Field(
        default=None,
        description="Time that each consumer takes for a message before it acknowledges it, one "
        "after the other. None: consumers acknowledge at once, in batches.",
    )
    consumer_timeout: Seconds | None = Field(
        default=None,
        description="`x-consumer-timeout`: time after which the broker takes unacknowledged "
        "messages back from a consumer. It looks once a minute. None keeps the broker's default.",
    )
    quorum_group_size: int | None = Field(
        default=None,
        ge=1,
        le=99,
        description="Initial number of replicas of a quorum queue. None keeps the broker's "
        "default.",
    )
    mirrors: Annotated[int, Field(ge=1, le=99)] | Literal["all"] = Field(
        default=3,
        description="Number of nodes that hold a mirrored queue (`ha-mode: exactly`), or `all`.",
    )
    sync_mode: Literal["automatic", "manual"] = Field(
        default="automatic",
        description="The mirrored queue's `ha-sync-mode`. With `manual`, a mirror that comes back "
        "never gets the messages that it missed.",
    )
    promote_on_shutdown: Promotion | None = Field(
        default=None,
        description="The mirrored queue's `ha-promote-on-shutdown`. None keeps the broker's "
        "default.",
    )
    promote_on_failure: Promotion | None = Field(
        default=None,
        description="The mirrored queue's `ha-promote-on-failure`. None keeps the broker's "
        "default.",
    )
    delivery_limit: int | None = Field(
        default=None,
        ge=-1,
        le=2**31 - 1,
        description="`x-delivery-limit`: redeliveries before a quorum queue drops a message; -1 "
        "for no limit. None keeps the broker's default, which is 20 since RabbitMQ 4.0.",
    )
    feature_flags: tuple[FeatureFlag, ...] = Field(
        default=(),
        description="RabbitMQ's feature flags that are enabled before the load, such as "
        "`khepri_db`. They stay enabled: RabbitMQ cannot disable them.",
    )
    upgrade_to: UpgradeTarget | None = Field(
        default=None,
        description="The target of nemesis `upgrade`: a version that the nodes' apt sources have, "
        "such as 3.10.9, or the path of a package (.deb) on this machine, from the present folder.",
    )
    op_timeout: Seconds = Field(
        default=5, description="Time after which an operation without an answer is `info`."
    )
    recovery_deadline: Seconds = Field(
        default=120,
        description="Time for the cluster to recover by itself after healing, before nodes are "
        "restarted.",
    )
    recover_within: Seconds | None = Field(
        default=None,
        description="The run is invalid if the cluster does not recover by itself within this "
        "time after the last healing. At most `recovery-deadline`. The cluster is observed when "
        "the load has ended, so the last fault must end less than this time before it.",
    )
    drain_deadline: Seconds = Field(default=600, description="Time for the drain.")
    log_patterns: Mapping[str, RegularExpression] = Field(
        default_factory=dict,
        description="Regular expressions by name. The results count the lines of the brokers' "
        "logs that match.",
    )
    forbidden_log_patterns: tuple[str, ...] = Field(
        default=(),
        description="Names from `log-patterns`. The run is invalid if a line matches one of them.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**63,
        description="The same seed gives the same ops and the same fault schedule. "
        "`jepsenvm run` draws one if the plan file has none.",
    )

    @property
    def nemeses(self) -> tuple[str, ...]:
        """The names from which each fault is drawn; empty without faults and with a schedule."""
        if self.schedule is not None or self.nemesis == NO_FAULTS:
            return ()
        return (self.nemesis,) if isinstance(self.nemesis, str) else self.nemesis

    @property
    def leader_alone(self) -> bool:
        """Whether no other node may serve the queue while the node of its leader is down.

        That holds for a classic queue, and may hold for a mirrored queue whose mirrors are not in
        sync (https://www.rabbitmq.com/docs/3.13/ha#unsynchronised-mirrors).
        """
        waits_for_leader = (self.promote_on_failure, self.sync_mode) == ("when-synced", "manual")
        return self.queue_type == "classic" or waits_for_leader

    @property
    def routing(self) -> Routing:
        """To which queues each message goes."""
        return Routing(self.queues, self.fan_out, self.exchange)

    @model_validator(mode="after")
    def _check_keys_together(self, info: ValidationInfo) -> Self:
        workload = (info.context or {}).get("workloads", {}).get(self.workload)
        problems = [
            *_workload_problems(self, workload),
            *_queue_type_problems(self),
            *consumer_problems(self, workload),
            *routing_problems(self, workload),
            *_drawing_problems(self),
            *_schedule_problems(self),
            *_analysis_problems(self),
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def patient(self, patience: float) -> Plan:
        """Return the plan with every deadline multiplied by ``patience``, for slow hosts."""
        deadlines = ("op_timeout", "recovery_deadline", "drain_deadline")
        return self.model_copy(update={key: getattr(self, key) * patience for key in deadlines})

    def to_yaml(self) -> str:
        """Return a plan file that gives an equal plan when read.

        Keys that are not accepted beside the plan's queue type or schedule are left out.
        """
        document: dict[str, Any] = self.model_dump(by_alias=True, mode="json", exclude={"options"})
        left_out = {
            key for key, type_ in keys_of_one_queue_type().items() if self.queue_type != type_
        }
        if self.schedule is not None:
            left_out |= set(DRAWING_KEYS)
            document["schedule"] = [
                item.model_dump(by_alias=True, mode="json", exclude_defaults=True)
                for item in self.schedule
            ]
        document |= self.options.model_dump(by_alias=True, mode="json")
        written = {key: value for key, value in document.items() if key not in left_out}
        return yaml.safe_dump(written, sort_keys=False)


def _workload_problems(plan: Plan, workload: WorkloadRules | None) -> list[str]:
    """Return why the plan's keys do not fit its workload, if the caller passed its workloads."""
    if workload is None:
        return []
    problems = list(workload.problems(plan))
    if plan.workers > 1 and not workload.load_processes:
        problems.append(
            f"workers must be 1 with workload {plan.workload}, whose load runs in one process"
        )
    if plan.queue_type not in workload.queue_types:
        choices = " or ".join(workload.queue_types)
        problems.insert(
            0, f"workload {plan.workload} needs queue-type {choices}, not {plan.queue_type}"
        )
    return problems


def _queue_type_problems(plan: Plan) -> list[str]:
    """Return why the plan's keys do not fit its queue type."""
    spec = queue_type_spec(plan.queue_type)
    problems = [
        f"{key} goes only with queue-type {type_}"
        for key, type_ in keys_of_one_queue_type().items()
        if snake(key) in plan.model_fields_set and plan.queue_type != type_
    ]
    if plan.consumers and not spec.load_consumers:
        problems.append(
            f"consumers must be 0 with queue-type {plan.queue_type}: "
            "each consumer would read all messages"
        )
    if plan.confirm == "transactions" and not spec.transactions:
        choices = " or ".join(queue_types_with_transactions())
        problems.append(f"confirm: transactions needs queue-type {choices}, not {plan.queue_type}")
    if plan.confirm == "transactions" and plan.window > 1:
        problems.append(
            "confirm: transactions needs window 1: a publisher commits one message at a time"
        )
    return problems


def _drawing_problems(plan: Plan) -> list[str]:
    """Return why no fault would ever be drawn."""
    if not plan.nemeses:
        return []
    quiet, duration = bounds(plan.quiet_before), bounds(plan.fault_duration)
    least = quiet[0] + duration[0]
    if least <= plan.time_limit:
        mean = (sum(quiet) + sum(duration)) / 2
        keys = "quiet-before + fault-duration"
        return _frequency_problems(plan, keys, mean, plan.overlapping)
    return [
        f"time-limit ({plan.time_limit:g} s) must be at least quiet-before + fault-duration "
        f"({least:g} s), or no fault would ever be injected"
    ]


def _frequency_problems(plan: Plan, keys: str, step: float, faults_per_step: int) -> list[str]:
    """Return why the plan has more faults than anybody could inject.

    ``step`` is the time in seconds after which ``faults_per_step`` faults repeat.
    """
    if step < MIN_STEP_S:
        return [f"{keys} must be at least {MIN_STEP_S:g} s (found {step:g} s)"]
    if plan.time_limit / step * faults_per_step > MAX_FAULTS:
        return [
            f"{keys} ({step:g} s) and time-limit ({plan.time_limit:g} s) give more than "
            f"{MAX_FAULTS:,} faults"
        ]
    return []


def _schedule_problems(plan: Plan) -> list[str]:
    """Return why the plan's keys do not fit its schedule."""
    if plan.schedule is None:
        return ["repeat-every goes only with schedule"] if plan.repeat_every is not None else []
    surplus = [key for key in DRAWING_KEYS if snake(key) in plan.model_fields_set]
    problems = [f"schedule replaces {', '.join(surplus)}: give one or the other"] if surplus else []
    problems += [
        f"schedule item {number} ({item.fault}, at {item.at:g} s for {item.lasts:g} s) ends after "
        f"time-limit ({plan.time_limit:g} s)"
        for number, item in enumerate(plan.schedule, start=1)
        if item.until > plan.time_limit
    ]
    length = max(item.until for item in plan.schedule) - min(item.at for item in plan.schedule)
    if plan.repeat_every is not None and plan.repeat_every < length:
        problems.append(
            f"repeat-every ({plan.repeat_every:g} s) is shorter than the schedule ({length:g} s)"
        )
    elif plan.repeat_every is not None:
        problems += _frequency_problems(plan, "repeat-every", plan.repeat_every, len(plan.schedule))
    return problems


def _analysis_problems(plan: Plan) -> list[str]:
    """Return why the checkers could not apply the plan's limits."""
    problems = [
        f"forbidden-log-patterns: no entry {name!r} in log-patterns"
        for name in plan.forbidden_log_patterns
        if name not in plan.log_patterns
    ]
    if plan.recover_within is not None and plan.recover_within > plan.recovery_deadline:
        problems.append(
            f"recover-within ({plan.recover_within:g} s) must not be longer than recovery-deadline "
            f"({plan.recovery_deadline:g} s), after which nodes are restarted"
        )
    return problems
