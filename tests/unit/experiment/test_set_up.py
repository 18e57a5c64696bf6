"""The set-up of a run's queues: what is declared, and which failures are retried."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from jepsenvm.errors import CommandError, RunError, UsageError
from jepsenvm.experiment import set_up
from jepsenvm.experiment.set_up import may_pass, set_up_queues
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq import ctl
from jepsenvm.rabbitmq.amqp import Address, SessionLost
from jepsenvm.rabbitmq.policies import RUN_POLICY
from jepsenvm.rabbitmq.topology_listing import Listing
from jepsenvm.workloads.context import Context

ADDRESS = Address("n1", "h", 5672, "u", "p", "/", 1.0)


class Fleet:
    patience: ClassVar[float] = 1.0


FINISHED = "20261125T140311.000001Z"
KILLED = "20261125T150311.000002Z"
THIS_RUN = "20261125T160311.000003Z"


def set_up_with(
    monkeypatch: pytest.MonkeyPatch, failures: Sequence[Exception], **plan: Any
) -> tuple[list[list[str]], list[tuple[object, ...]]]:
    """Set up with these failures first; return each attempt's stale queues, and the policies."""
    monkeypatch.setattr(set_up, "SETTLE_POLL_S", 0.0)
    names = frozenset(
        [
            f"jepsenvm.quorum.{FINISHED}",
            f"jepsenvm.quorum.{FINISHED}.dead",
            f"jepsenvm.quorum.{KILLED}",
            f"jepsenvm.quorum.{FINISHED}.copy",
            "jepsenvm.quorum.old",
            "theirs",
        ]
    )
    monkeypatch.setattr(set_up, "finished_runs", lambda *_: frozenset({FINISHED}))
    exchanges = frozenset(
        {"amq.topic", f"jepsenvm.quorum.{FINISHED}.7", f"jepsenvm.quorum.{KILLED}.8"}
    )
    listed = Listing(names, exchanges, frozenset())
    monkeypatch.setattr(set_up, "listing", lambda _fleet, _node: listed)
    policies: list[tuple[object, ...]] = []
    monkeypatch.setattr(ctl, "set_policy", lambda *words: policies.append(words[1:]))
    attempts: list[list[str]] = []
    deleted: list[list[str]] = []
    left = list(failures)

    async def delete_exchanges(_context: Context, stale: Sequence[str]) -> None:
        deleted.append(list(stale))

    monkeypatch.setattr(set_up, "delete_exchanges", delete_exchanges)

    async def setup(_context: Context, stale: Sequence[str]) -> None:
        assert deleted == [[f"jepsenvm.quorum.{FINISHED}.7"]] * (len(attempts) + 1)
        attempts.append(list(stale))
        if left:
            raise left.pop(0)

    async def run() -> None:
        journal: Any = None
        queue = f"jepsenvm.mirrored.{THIS_RUN}"
        context = Context(Plan(**plan), [ADDRESS], queue, journal, asyncio.Event())
        workload: Any = SimpleNamespace(setup=setup)
        fleet: Any = Fleet()
        await set_up_queues(fleet, workload, context)

    asyncio.run(run())
    return attempts, policies


def test_queues_of_finished_runs_are_deleted_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts, policies = set_up_with(monkeypatch, [])
    assert attempts == [[f"jepsenvm.quorum.{FINISHED}", f"jepsenvm.quorum.{FINISHED}.dead"]]
    assert policies == []
    assert caplog.messages == [
        f"queue jepsenvm.mirrored.{THIS_RUN} declared, 2 old one(s) deleted",
        f"1 queue(s) of runs without a verdict stay: jepsenvm.quorum.{KILLED}; "
        "`jepsenvm resume` reads them, `rabbitmqctl delete_queue` deletes them",
    ]


def test_a_mirrored_queue_gets_a_policy_for_the_queues_of_its_run_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, policies = set_up_with(monkeypatch, [], queue_type="mirrored", mirrors=2)
    definition = {"ha-mode": "exactly", "ha-params": 2, "ha-sync-mode": "automatic"}
    pattern = f"^jepsenvm[.]mirrored[.]{THIS_RUN.replace('.', '[.]')}"
    assert policies == [("n1", RUN_POLICY, pattern, definition)]


def test_a_failure_that_passes_is_retried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts, _ = set_up_with(monkeypatch, [SessionLost("[Errno 111]"), TimeoutError()])
    assert len(attempts) == 3
    assert "set-up: [Errno 111]; trying again" in caplog.messages
    assert "set-up: no answer in time; trying again" in caplog.messages


def test_a_failure_that_does_not_pass_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="the queue could not be set up: 403 ACCESS_REFUSED"):
        set_up_with(monkeypatch, [SessionLost("403 ACCESS_REFUSED")])
    monkeypatch.setattr(set_up, "SETTLE_S", -1.0)
    with pytest.raises(RunError, match="the queue could not be set up: no answer in time"):
        set_up_with(monkeypatch, [TimeoutError()])


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (
            SessionLost(
                "320 CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
            ),
            True,
        ),
        (SessionLost("[Errno 111] Connection refused"), True),
        (SessionLost("406 PRECONDITION_FAILED - inequivalent arg"), False),
        (SessionLost("403 ACCESS_REFUSED"), False),
        (TimeoutError(), True),
        (CommandError("the node is down"), True),
        (UsageError("a wrong key"), False),
        (KeyError("ours"), False),
    ],
)
def test_only_errors_that_may_pass_are_retried(error: Exception, passes: bool) -> None:
    assert may_pass(error) is passes
