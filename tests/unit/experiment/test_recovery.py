"""Which nodes are restarted when the cluster does not come back by itself."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from jepsenvm.errors import CommandError, UsageError
from jepsenvm.experiment import recovery
from jepsenvm.experiment.phases import may_settle
from jepsenvm.experiment.recovery import NodeProblem, Recovery, to_restart
from jepsenvm.rabbitmq.amqp import SessionLost
from jepsenvm.rabbitmq.ctl import View


class _Nobody:
    """A fleet and a journal that remember nothing."""

    nodes: ClassVar[dict[str, object]] = {"n1": None}
    patience: ClassVar[float] = 1.0

    def append(self, *_: object, **__: object) -> None:
        """Append nothing."""


def test_a_node_of_others_is_not_restarted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    restarted: list[str] = []
    monkeypatch.setattr(Recovery, "_troubles", lambda _: {"n1": NodeProblem("AMQP is not open")})
    monkeypatch.setattr(Recovery, "_restart", lambda _, nodes: restarted.extend(nodes))
    monkeypatch.setattr(recovery, "SETTLE_S", 0.0)
    monkeypatch.setattr(recovery, "POLL_S", 0.01)
    for may in (False, True):
        one = Recovery(_Nobody(), _Nobody(), "q", 0.0, may)  # type: ignore[arg-type]  # enough of them
        assert not asyncio.run(one.wait())
        assert bool(restarted) is may
        assert any("its allowed_faults has no restart" in line for line in caplog.messages)
        assert "NOT recovered: n1 AMQP is not open" in caplog.messages


NODES = ["n1", "n2", "n3", "n4", "n5"]


def split(*sides: str) -> dict[str, NodeProblem]:
    """Return what nodes say that each have another side; a side is given as "1 2 3"."""
    return {
        f"n{number}": NodeProblem("split", frozenset(f"n{other}" for other in side.split()))
        for side in sides
        for number in side.split()
    }


EVERYONE = frozenset(NODES)


@pytest.mark.parametrize(
    ("troubles", "restarted"),
    [
        ({}, []),
        ({"n2": NodeProblem("AMQP is not open")}, ["n2"]),
        # One node's application is stopped; the others answer, and only miss it.
        (
            {"n2": NodeProblem("exit 69"), "n1": NodeProblem("does not see n2", EVERYONE - {"n2"})},
            ["n2"],
        ),
        # Nobody serves: there is nothing to lose by restarting them all.
        ({node: NodeProblem("AMQP is not open") for node in NODES}, NODES),
        # A split that lasts: the smaller side is restarted.
        (split("1 2", "3 4 5"), ["n1", "n2"]),
        # All run, and the larger side still remembers that it was partitioned from the smaller one.
        (
            {
                n: NodeProblem("x", EVERYONE if n in ("n1", "n2") else EVERYONE - {"n1", "n2"})
                for n in NODES
            },
            ["n1", "n2"],
        ),
        # Nobody is on a wrong side, and still something is wrong: restarting helps nobody.
        ({n: NodeProblem("has an alarm", EVERYONE) for n in ("n1", "n2")}, []),
        # The queue has no leader although every node serves.
        ({"n1": NodeProblem("the queue is down", EVERYONE)}, []),
    ],
)
def test_who_is_restarted_first(troubles: dict[str, NodeProblem], restarted: list[str]) -> None:
    assert to_restart(troubles, NODES, set()) == ([restarted] if restarted else [])


def test_those_who_remember_a_partition_after_that_are_restarted_one_by_one() -> None:
    troubles = {node: NodeProblem("x", EVERYONE, remembers=False) for node in NODES}
    for node in ("n3", "n4"):
        troubles[node] = NodeProblem("x", EVERYONE - {"n1", "n2"}, remembers=True)
    assert to_restart(troubles, NODES, set()) == [["n1", "n2"]]
    assert to_restart(troubles, NODES, {"n1", "n2"}) == [["n3"], ["n4"]]


def test_nodes_on_the_trusted_side_of_a_split_are_never_restarted() -> None:
    for sides in (("1", "2 3 4 5"), ("1 2", "3 4 5"), ("1 3 5", "2 4")):
        largest = max(sides, key=len)
        (group,) = to_restart(split(*sides), NODES, set())
        assert not {f"n{number}" for number in largest.split()} & set(group)


def test_a_side_is_whom_a_node_does_not_regard_as_partitioned_from_it() -> None:
    view = View(EVERYONE, {"n3": ["n1", "n2"]})
    assert view.side("n3") == {"n3", "n4", "n5"}
    assert view.side("n1") == EVERYONE


def test_a_views_troubles() -> None:
    assert View(frozenset(NODES), {}).troubles(NODES) == []
    assert View(frozenset(NODES), {"n1": []}).troubles(NODES) == []
    assert View(frozenset(NODES[:3]), {}).troubles(NODES) == ["does not see n4 n5 running"]
    assert View(frozenset(NODES), {"n1": ["n4"]}).troubles(NODES) == ["sees a partition from n4"]
    assert View(frozenset(NODES), {}, ["memory"]).troubles(NODES) == ["has an alarm"]


@pytest.mark.parametrize(
    ("problem", "settles"),
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
def test_a_set_up_is_tried_again_only_where_that_may_help(
    problem: Exception, settles: bool
) -> None:
    assert may_settle(problem) is settles
