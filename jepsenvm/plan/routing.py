"""The plan keys for several queues and exchanges, and to which queues each message goes.

The queues of a run have numbers from 0. They form groups of ``fan-out`` queues, and each message
goes to all queues of one group. The value of a message decides its group, so that nobody has to
record where it went.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from jepsenvm.plan.field_types import snake

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from jepsenvm.plan.options import WorkloadRules
    from jepsenvm.plan.plan import Plan

ExchangeType = Literal["default", "direct", "topic", "fanout", "headers"]

MOST_QUEUES: Final = 10_000
MOST_COPIES: Final = 100
"""The bounds of ``queues`` and ``fan-out``."""

ROUTING_KEYS: Final = ("queues", "exchange", "fan-out")

IntOrInts = TypeVar("IntOrInts", int, "npt.NDArray[np.int64]")


@dataclass(frozen=True)
class Routing:
    """To which queues each message of a run goes, by the numbers of the queues."""

    queues: int = 1
    fan_out: int = 1
    exchange: ExchangeType = "default"

    @property
    def is_plain(self) -> bool:
        """Whether all messages go to one queue through the default exchange."""
        return self.queues == 1 and self.exchange == "default"

    @property
    def groups(self) -> int:
        """The number of groups. If ``fan_out`` does not divide ``queues``, the last group ends
        with the first queues."""
        return -(-self.queues // self.fan_out)

    def group_of(self, value: IntOrInts) -> IntOrInts:
        """Return the group of a message, or of each of some messages, by its value from 0 on.

        Of consecutive values as many go to each group. The publishers' values have a step, so the
        order of the groups moves on after each round: each publisher publishes to all of them.
        """
        return (value + value // self.groups) % self.groups

    def queues_of_group(self, group: int) -> tuple[int, ...]:
        """Return the queues of a group, one for each copy of a message."""
        first = group * self.fan_out
        return tuple((first + copy) % self.queues for copy in range(self.fan_out))

    def queue_of_copy(self, value: IntOrInts, copy: IntOrInts) -> IntOrInts:
        """Return the queue of a copy of a message, with copies numbered from 0."""
        return (self.group_of(value) * self.fan_out + copy) % self.queues

    def copy_in(self, value: IntOrInts, queue: IntOrInts) -> IntOrInts:
        """Return the number of the copy of a message in a queue.

        It is ``fan_out`` or greater if the message is not routed to that queue.
        """
        return (queue - self.group_of(value) * self.fan_out) % self.queues


def routing_problems(plan: Plan, workload: WorkloadRules | None) -> list[str]:
    """Return why messages cannot be routed as the plan's keys say.

    ``workload`` is None if the caller did not pass its workloads.
    """
    given = [
        key
        for key in ROUTING_KEYS
        if getattr(plan, snake(key)) != type(plan).model_fields[snake(key)].default
    ]
    if not given:
        return []
    keys = ", ".join(given)
    if workload is not None and not workload.many_queues:
        return [f"{keys}: workload {plan.workload} has its own queues and publishes to them"]
    if plan.queue_type == "stream":
        return [f"{keys}: needs queue-type quorum, mirrored or classic, not stream"]
    problems = []
    if plan.fan_out > plan.queues:
        problems.append(f"fan-out ({plan.fan_out}) must not be greater than queues ({plan.queues})")
    if plan.fan_out > 1 and plan.exchange == "default":
        problems.append(
            "fan-out: needs exchange direct, topic, fanout or headers, because the default "
            "exchange routes each message to one queue"
        )
    if not problems and plan.messages is not None and plan.messages < plan.routing.groups:
        problems.append(
            f"messages ({plan.messages}) must be at least {plan.routing.groups} with {keys}, or "
            "some queue would get none"
        )
    return problems
