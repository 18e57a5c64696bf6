"""new-subscriptions: how often the load's consumers subscribed again, and why."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, Literal, get_args

import numpy as np

from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.table import History

Cause = Literal["churn", "crash", "crash-with-nothing", "cancelled", "silent", "consumer-timeout"]
"""Why a consumer subscribes again: by its plan (churn, and a crash with or without unacknowledged
messages), because the broker cancelled it, delivered nothing to it, or closed its channel after the
consumer timeout."""

CAUSE: Final = "subscribes-again-after"
"""The key of the cause in the data of an ``info`` dequeue."""

NOT_CHURNED: Final = "no consumer cancelled and subscribed again, so consumer-churn was not tested"
NOT_CRASHED: Final = (
    "no consumer crashed with unacknowledged messages, so consumer-crash was not tested"
)
NOT_TIMED_OUT: Final = (
    "the broker took nothing back from a consumer that held it for longer than consumer-timeout, "
    "so that was not tested"
)


def new_subscriptions(
    history: History, *, churn: bool = False, crash: bool = False, timeout: bool = False
) -> Result:
    """Count the new subscriptions by cause.

    It is unknown if consumers had to churn, to crash or to exceed the consumer timeout, and none
    did. Otherwise it is valid. Since RabbitMQ 4.3 the broker cancels a consumer that exceeds it.
    """
    counts = Counter[str]()
    for chunk in history:
        for row in np.flatnonzero(history.mask(chunk, "info", "dequeue") & chunk.has_data):
            data = chunk.data(int(row))
            if isinstance(data, dict) and data.get(CAUSE) in get_args(Cause):
                counts[data[CAUSE]] += 1
    missing = [
        reason
        for reason, expected, cause in (
            (NOT_CHURNED, churn, "churn"),
            (NOT_CRASHED, crash, "crash"),
        )
        if expected and not counts[cause]
    ]
    if timeout and not (counts["consumer-timeout"] or counts["cancelled"]):
        missing.append(NOT_TIMED_OUT)
    figures: dict[str, Any] = {f"{cause}-count": counts[cause] for cause in get_args(Cause)}
    return Result(Verdict.UNKNOWN if missing else Verdict.VALID, tuple(missing), figures)
