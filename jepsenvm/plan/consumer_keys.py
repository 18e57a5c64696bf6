"""The plan keys by which consumers misbehave as those of real systems do, and their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jepsenvm.plan.durations import bounds
from jepsenvm.plan.field_types import snake
from jepsenvm.plan.queue_types import MinimumVersion

if TYPE_CHECKING:
    from jepsenvm.plan.options import WorkloadRules
    from jepsenvm.plan.plan import Plan

CONSUMER_KEYS: Final = ("consumer-churn", "consumer-crash", "consumer-delay", "consumer-timeout")
"""The keys that need the load's pushed consumers."""

RETURNING_KEYS: Final = ("consumer-churn", "consumer-crash", "consumer-timeout")
"""Those that make the broker take messages back, after some time of the load."""

CONSUMER_TIMEOUTS: Final = MinimumVersion("consumer timeouts of queues", (3, 12))
"""Before, a node had one timeout for all consumers (rabbitmq-server issue 5437)."""

MIN_REPEAT_S: Final = 0.1
"""The shortest time, in seconds, after which a consumer churns or crashes. It looks as often."""


def returns_messages(plan: Plan) -> bool:
    """Return whether the plan's consumers make the broker take messages back again and again.

    Each time counts towards the delivery limit of a quorum queue.
    """
    return bool(_given(plan, RETURNING_KEYS))


def exceeds_timeout(plan: Plan) -> bool:
    """Return whether each message takes a consumer longer than the consumer timeout."""
    timeout, delay = plan.consumer_timeout, plan.consumer_delay
    return timeout is not None and delay is not None and bounds(delay)[0] > timeout


def consumer_problems(plan: Plan, workload: WorkloadRules | None) -> list[str]:
    """Return why the plan's consumers cannot behave as its keys say.

    ``workload`` is None if the caller did not pass its workloads.
    """
    given = _given(plan, CONSUMER_KEYS)
    if not given:
        return []
    keys = ", ".join(given)
    if workload is not None and not workload.plan_consumers:
        return [f"{keys}: workload {plan.workload} has no consumers that follow it"]
    problems = []
    if not plan.consumers:
        problems.append(f"{keys}: needs consumers of at least 1")
    if plan.consume == "polling":
        problems.append(f"{keys}: needs consume asynchronous or mixed, not polling")
    return [*problems, *_time_problems(plan), *_delivery_limit_problems(plan)]


def _time_problems(plan: Plan) -> list[str]:
    """Return which keys would never have an effect, or have it too often."""
    problems = []
    for key in _given(plan, RETURNING_KEYS):
        least, _ = bounds(getattr(plan, snake(key)))
        if least >= plan.time_limit:
            problems.append(
                f"{key} ({least:g} s) must be shorter than time-limit ({plan.time_limit:g} s), or "
                "it would have no effect"
            )
        if least < MIN_REPEAT_S:
            problems.append(f"{key} must be at least {MIN_REPEAT_S:g} s (found {least:g} s)")
    return problems


def _delivery_limit_problems(plan: Plan) -> list[str]:
    """Return that the broker would drop messages, as it should, and they would count as lost."""
    limit = plan.delivery_limit
    if limit is None or limit < 0 or not returns_messages(plan):
        return []
    keys = ", ".join(_given(plan, RETURNING_KEYS))
    return [
        f"delivery-limit must be -1 with {keys}: the broker drops what it took back more often "
        "than the limit"
    ]


def _given(plan: Plan, keys: tuple[str, ...]) -> list[str]:
    """Return which of these keys the plan gives."""
    return [key for key in keys if getattr(plan, snake(key)) is not None]
