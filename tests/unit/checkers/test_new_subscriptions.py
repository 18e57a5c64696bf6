"""new-subscriptions: the counts by cause, and what was planned and never happened."""

from __future__ import annotations

from typing import Any

import pytest

from jepsenvm.checkers.new_subscriptions import (
    CAUSE,
    NOT_CHURNED,
    NOT_CRASHED,
    NOT_TIMED_OUT,
    Cause,
    new_subscriptions,
)
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.op import Op
from jepsenvm.plan.plan import Plan
from jepsenvm.workloads.registry import WORKLOADS
from tests.unit.builders import history, published


def again(*causes: Cause) -> list[Op]:
    """Return the record of a new subscription for each cause."""
    return [
        op
        for process, cause in enumerate(causes)
        for op in (
            Op("invoke", "dequeue", process=process),
            Op("info", "dequeue", process=process, error="why", data={CAUSE: cause}),
        )
    ]


def test_new_subscriptions_are_counted_by_cause() -> None:
    others = [
        Op("invoke", "dequeue", process=9),
        Op("info", "dequeue", process=9, error="lost", data={"other": "churn"}),
        Op("ok", "dequeue", 1, process=9, data={CAUSE: "churn"}),
        Op("info", "dequeue", process=9, data={CAUSE: "sorcery"}),
        Op("info", "dequeue", process=9, data=[CAUSE]),
    ]
    causes: list[Cause] = ["churn", "crash", "churn", "silent", "consumer-timeout", "cancelled"]
    result = new_subscriptions(history(published(1), again(*causes), others))
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())
    assert result.figures == {
        "churn-count": 2,
        "crash-count": 1,
        "crash-with-nothing-count": 0,
        "cancelled-count": 1,
        "silent-count": 1,
        "consumer-timeout-count": 1,
    }


@pytest.mark.parametrize(
    ("causes", "reasons"),
    [
        (["churn", "crash"], ()),
        (["churn", "crash-with-nothing", "cancelled"], (NOT_CRASHED,)),
        (["crash", "silent"], (NOT_CHURNED,)),
        ([], (NOT_CHURNED, NOT_CRASHED)),
    ],
)
def test_what_was_planned_and_never_happened_is_unknown(
    causes: list[Cause], reasons: tuple[str, ...]
) -> None:
    result = new_subscriptions(history(published(1), again(*causes)), churn=True, crash=True)
    assert result.reasons == reasons
    assert result.verdict is (Verdict.UNKNOWN if reasons else Verdict.VALID)


def test_the_plan_says_what_must_happen() -> None:
    workload = WORKLOADS["queue"]
    nothing = history(published(1))

    def verdict(**keys: object) -> Verdict:
        plan = Plan.model_validate({"consumers": 1, **keys})
        return workload.exercised_checkers(plan)["new-subscriptions"](nothing).verdict

    assert verdict() is Verdict.VALID
    assert verdict(consumer_churn=5) is Verdict.UNKNOWN
    assert verdict(consumer_crash=5) is Verdict.UNKNOWN
    assert verdict(consumer_timeout=5, consumer_delay=1) is Verdict.VALID
    assert "new-subscriptions" not in workload.exercised_checkers(Plan())


@pytest.mark.parametrize(
    ("causes", "reasons"),
    [
        (["consumer-timeout"], ()),
        (["cancelled"], ()),  # as RabbitMQ 4.3 does
        (["silent", "churn"], (NOT_TIMED_OUT,)),
        ([], (NOT_TIMED_OUT,)),
    ],
)
def test_a_consumer_timeout_that_nobody_exceeded_was_not_tested(
    causes: list[Cause], reasons: tuple[str, ...]
) -> None:
    result = new_subscriptions(history(published(1), again(*causes)), timeout=True)
    assert result.reasons == reasons
    assert result.verdict is (Verdict.UNKNOWN if reasons else Verdict.VALID)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"consumer_timeout": 60, "consumer_delay": 61.0}, True),
        ({"consumer_timeout": 60, "consumer_delay": (61.0, 90.0)}, True),
        ({"consumer_timeout": 60, "consumer_delay": (59.0, 90.0)}, False),
        ({"consumer_timeout": 60}, False),
        ({"consumer_delay": 61.0}, False),
    ],
)
def test_messages_that_take_longer_than_the_timeout_must_exceed_it(
    keys: dict[str, Any], expected: bool
) -> None:
    checker: Any = WORKLOADS["queue"].exercised_checkers(Plan(consumers=1, time_limit=200, **keys))
    assert checker["new-subscriptions"].keywords["timeout"] is expected
