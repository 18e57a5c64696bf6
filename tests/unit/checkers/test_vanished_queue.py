"""A queue that no longer exists: lost by the broker, or deleted by somebody else."""

from __future__ import annotations

from typing import Any

import pytest

from jepsenvm.checkers.lock import lock
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.vanished_queue import vanished_queues
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.nemesis_records import HEAL, HEALED, IN_FORCE, INJECT
from jepsenvm.history.op import Op
from jepsenvm.history.units import SECOND
from tests.unit.builders import (
    DRAINER,
    enqueued,
    fault_records,
    history_by_time,
    op_at,
    recovery_record,
)

QUEUE = "jepsenvm.classic.x"
LOAD = [op for value in range(5) for op in enqueued(value, value * SECOND, (value + 1) * SECOND)]
FAILED = [op_at(7, 9, "invoke", "enqueue", 9), op_at(7.1, 9, "fail", "enqueue", 9)]


def drain(*gone: str) -> list[Op]:
    """Return a drain at 300 s that delivered nothing."""
    data = {"received": 0, "broker": "...", **({"gone": list(gone)} if gone else {})}
    return [
        op_at(290, DRAINER, "invoke", "drain"),
        Op("ok", "drain", process=DRAINER, time=300 * SECOND, data=data),
    ]


def partition(injected: int, healed: int | None) -> list[Op]:
    times = {INJECT: injected * SECOND, IN_FORCE: (injected + 1) * SECOND}
    if healed is not None:
        times |= {HEAL: (healed - 1) * SECOND, HEALED: healed * SECOND}
    return fault_records(times)


def judged(*parts: list[Op]) -> Result:
    return total_queue(history_by_time(*parts))


@pytest.mark.parametrize(
    "faults",
    [
        [],
        partition(10, 20),  # it began after an operation had failed for want of the queue
        partition(-200, -100),  # long over
        [recovery_record(280)],
    ],
)
def test_a_queue_that_disappeared_without_a_fault_leaves_a_doubt(faults: list[Op]) -> None:
    result = judged(LOAD, FAILED, faults, drain(QUEUE))
    assert result.verdict is Verdict.UNKNOWN
    assert result.figures["lost-count"] == 0
    assert result.figures["undecided-count"] == 5
    [reason] = [reason for reason in result.reasons if "disappeared" in reason]
    assert reason.startswith(f"the queue {QUEUE} disappeared while no fault was in force")


@pytest.mark.parametrize(
    "faults",
    [
        partition(2, 200),
        partition(6, None),
        partition(-30, -20),  # the broker may remove a queue after the healing
        [recovery_record(280, restarted=["n2"])],
    ],
)
def test_a_queue_that_disappeared_with_a_fault_is_lost(faults: list[Op]) -> None:
    result = judged(LOAD, FAILED, faults, drain(QUEUE))
    assert result.verdict is Verdict.INVALID
    assert result.figures["lost-count"] == 5
    assert any(f"no node knows {QUEUE} any more" in reason for reason in result.reasons)


@pytest.mark.parametrize(
    ("deleted", "says"),
    [
        ([QUEUE], f"the queue {QUEUE} disappeared: a log shows that a client deleted it"),
        (["a", "b"], "the queues a and b disappeared: a log shows that a client deleted them"),
    ],
)
def test_a_queue_that_somebody_deleted_under_a_fault_leaves_a_doubt(
    deleted: list[str], says: str
) -> None:
    ended = drain(QUEUE)
    ended[1].data["deleted"] = deleted
    for fault in (partition(2, 200), [recovery_record(280, restarted=["n2"])]):
        result = judged(LOAD, FAILED, fault, ended)
        assert result.verdict is Verdict.UNKNOWN
        assert result.figures["undecided-count"] == 5
        assert any(reason.startswith(says) for reason in result.reasons)


@pytest.mark.parametrize(
    ("data", "faults", "verdict"),
    [
        ({}, [], Verdict.INVALID),
        ({"gone": [QUEUE]}, [], Verdict.UNKNOWN),
        ({"gone": [QUEUE]}, partition(-200, -100), Verdict.UNKNOWN),
        ({"gone": [QUEUE]}, partition(200, 250), Verdict.INVALID),
        ({"gone": [QUEUE]}, [recovery_record(280, restarted=["n2"])], Verdict.INVALID),
        ({"gone": [QUEUE], "deleted": [QUEUE]}, partition(200, 250), Verdict.UNKNOWN),
    ],
)
def test_the_queue_of_a_lock_that_disappeared(
    data: dict[str, Any], faults: list[Op], verdict: Verdict
) -> None:
    locked = [op_at(1, 0, "invoke", "acquire"), op_at(1, 0, "ok", "acquire", 0)]
    # Another client did not get the lock: this does not show that its queue was gone.
    others = [op_at(2, 1, "invoke", "acquire"), op_at(2, 1, "fail", "acquire")]
    tokens = [
        op_at(290, DRAINER, "invoke", "tokens"),
        Op("ok", "tokens", 0, DRAINER, 300 * SECOND, data={"broker": "...", **data}),
    ]
    result = lock(history_by_time(locked, others, faults, tokens), fenced=True)
    assert result.verdict is verdict
    assert result.figures["token-lost"] is (verdict is Verdict.INVALID)
    assert result.figures["tokens"] == 0


def test_without_a_failed_operation_every_later_fault_may_be_the_cause() -> None:
    assert judged(LOAD, drain(QUEUE)).verdict is Verdict.UNKNOWN
    assert judged(LOAD, partition(200, 280), drain(QUEUE)).verdict is Verdict.INVALID


def test_a_queue_that_exists_leaves_no_doubt() -> None:
    result = judged(LOAD, FAILED, drain())
    assert result.verdict is Verdict.INVALID
    assert result.figures["lost-count"] == 5


def test_a_vanished_queue_from_which_everything_came_back_is_no_problem() -> None:
    came_back = [op_at(6, 20 + value, "ok", "dequeue", value) for value in range(5)]
    assert judged(LOAD, came_back, drain(QUEUE)).verdict is Verdict.VALID


def test_malformed_names_are_ignored() -> None:
    malformed: tuple[object, ...] = ({}, "x", 3, None)
    broken = [
        Op("ok", "drain", process=DRAINER, data={"received": 0, "gone": gone}) for gone in malformed
    ]
    assert vanished_queues(history_by_time(LOAD, broken)) == []
    assert vanished_queues(history_by_time(LOAD, drain("b", "a"))) == ["a", "b"]
