"""Recovery: which nodes are restarted when the cluster does not recover by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jepsenvm.experiment.recovery import (
    ROUNDS,
    NodeProblem,
    Recovery,
    may_restart,
    to_restart,
)
from jepsenvm.machines.inventory import Inventory
from jepsenvm.rabbitmq.cluster_view import View
from jepsenvm.rabbitmq.queue_listing import Queue, Replicas

NODES = ["n1", "n2", "n3", "n4", "n5"]
EVERYONE = frozenset(NODES)
CLOSED = NodeProblem("AMQP is not open")


class Fleet:
    nodes: ClassVar[dict[str, object]] = {"n1": None}
    patience: ClassVar[float] = 1.0


class Journal:
    def __init__(self) -> None:
        self.data: dict[str, Any] = {}

    def append(self, *_args: object, data: dict[str, Any], **_kwargs: object) -> None:
        self.data = data


def recover(
    monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, NodeProblem]], *, allowed: bool
) -> tuple[bool, list[str], dict[str, Any]]:
    """Recover a cluster with these answers, the last one repeated.

    Return whether it recovered, the nodes that were restarted, and what the history records.
    """
    restarted: list[str] = []
    left = iter(answers[:-1])
    monkeypatch.setattr(Recovery, "_problems", lambda _: next(left, answers[-1]))
    monkeypatch.setattr(Recovery, "_restart", lambda _, nodes: restarted.extend(nodes))
    monkeypatch.setattr(Recovery, "_replicas", lambda _: Replicas("n1", ("n1", "n2"), ("n1",)))
    journal = Journal()
    # With a deadline that is over already, each wait ends with its first answer.
    under_test = Recovery(Fleet(), journal, (), "q", -1.0, allowed)  # type: ignore[arg-type]  # fakes
    return asyncio.run(under_test.wait()), restarted, journal.data


def test_a_node_of_an_existing_cluster_is_not_restarted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recovered, restarted, recorded = recover(monkeypatch, [{"n1": CLOSED}], allowed=False)
    assert not recovered
    assert restarted == recorded["restarted"] == []
    assert any("its allowed_faults has no restart" in line for line in caplog.messages)
    assert "NOT recovered: n1 AMQP is not open" in caplog.messages


def test_a_node_that_does_not_recover_is_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    recovered, restarted, recorded = recover(monkeypatch, [{"n1": CLOSED}], allowed=True)
    assert not recovered
    assert set(restarted) == {"n1"}
    assert recorded["restarted"] == ["n1"]
    assert recorded["troubles"] == {"n1": "AMQP is not open"}


def test_a_node_that_refuses_clients_is_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object) -> dict[str, str]:
        return {"n1": "541 vhost '/' is down"}

    monkeypatch.setattr("jepsenvm.experiment.recovery.refusals", refused)
    recovered, restarted, recorded = recover(monkeypatch, [{}], allowed=True)
    assert not recovered
    assert set(restarted) == {"n1"}
    assert recorded["troubles"] == {"n1": "accepts no client: 541 vhost '/' is down"}


def test_a_restart_that_helps_is_recorded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    problems: list[dict[str, NodeProblem]] = [{"n1": CLOSED}, {}]
    recovered, restarted, recorded = recover(monkeypatch, problems, allowed=True)
    assert recovered
    assert recorded["restarted"] == restarted == ["n1"]
    assert recorded["troubles"] == {}
    assert recorded["trouble-seconds"] is not None
    assert any(line.startswith("recovered in ") for line in caplog.messages)


def test_a_healthy_cluster_records_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    recovered, restarted, recorded = recover(monkeypatch, [{}], allowed=True)
    assert recovered
    assert restarted == []
    assert recorded["trouble-seconds"] is None
    assert recorded["replicas"] is None  # who holds the queue matters only for a restart


@pytest.mark.parametrize(
    ("existing", "allowed_faults", "may"),
    [
        (False, None, True),
        (True, frozenset(), False),
        (True, frozenset({"partition"}), False),
        (True, frozenset({"partition", "restart"}), True),
    ],
)
def test_an_inventory_allows_restarts(
    existing: bool, allowed_faults: frozenset[str] | None, may: bool
) -> None:
    inventory = Inventory(
        Path("/hosts.yml"),
        "cloud",
        (),
        Path("/secrets"),
        {},
        existing=existing,
        allowed_faults=allowed_faults,
    )
    assert may_restart(inventory) is may


def split(*sides: str) -> dict[str, NodeProblem]:
    """Return the problems of nodes that are partitioned into sides, each given as "1 2 3"."""
    return {
        f"n{number}": NodeProblem("split", frozenset(f"n{other}" for other in side.split()))
        for side in sides
        for number in side.split()
    }


@pytest.mark.parametrize(
    ("problems", "restarted"),
    [
        ({}, []),
        ({"n2": CLOSED}, ["n2"]),
        # The application of one node is stopped. The others answer, and only miss it.
        (
            {"n2": NodeProblem("exit 69"), "n1": NodeProblem("does not see n2", EVERYONE - {"n2"})},
            ["n2"],
        ),
        # No node serves.
        (dict.fromkeys(NODES, CLOSED), NODES),
        # A partition that persists: the smaller side is restarted.
        (split("1 2", "3 4 5"), ["n1", "n2"]),
        # All nodes run, and the larger side still remembers a partition from the smaller one.
        (
            {
                n: NodeProblem("x", EVERYONE if n in ("n1", "n2") else EVERYONE - {"n1", "n2"})
                for n in NODES
            },
            ["n1", "n2"],
        ),
        # No node is on a wrong side, so a restart would not help.
        ({n: NodeProblem("has an alarm", EVERYONE) for n in ("n1", "n2")}, []),
        # The queue has no leader although every node serves.
        ({"n1": NodeProblem("the queue is down", EVERYONE)}, []),
    ],
)
def test_nodes_to_restart_first(problems: dict[str, NodeProblem], restarted: list[str]) -> None:
    groups = to_restart(problems, NODES, set(), NODES)
    assert [node for group in groups for node in group] == restarted


def test_nodes_that_do_not_answer_are_restarted_one_by_one() -> None:
    closed = dict.fromkeys(NODES, CLOSED)
    assert to_restart(closed, NODES, set(), NODES) == [[node] for node in NODES]


@pytest.mark.parametrize("holders", [(), ("n1",), ("n1", "n2")])
def test_nodes_that_alone_hold_the_queue_are_never_restarted_together(
    holders: tuple[str, ...],
) -> None:
    groups = to_restart(split("1 2", "3 4 5"), NODES, set(), holders)
    assert groups == [["n1"], ["n2"]]


def test_no_further_node_is_restarted_once_the_cluster_is_healthy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problems: list[dict[str, NodeProblem]] = [dict.fromkeys(NODES, CLOSED), {}]
    recovered, restarted, recorded = recover(monkeypatch, problems, allowed=True)
    assert recovered
    assert restarted == ["n1"]
    assert recorded["replicas"] == ["n1", "n2"]


def test_nodes_that_still_remember_a_partition_are_restarted_one_by_one() -> None:
    problems = {node: NodeProblem("x", EVERYONE, remembers=False) for node in NODES}
    for node in ("n3", "n4"):
        problems[node] = NodeProblem("x", EVERYONE - {"n1", "n2"}, remembers=True)
    assert to_restart(problems, NODES, set(), NODES) == [["n1", "n2"]]
    assert to_restart(problems, NODES, {"n1", "n2"}, NODES) == [["n3"], ["n4"]]


def test_nodes_on_the_trusted_side_of_a_partition_are_never_restarted() -> None:
    for sides in (("1", "2 3 4 5"), ("1 2", "3 4 5"), ("1 3 5", "2 4")):
        largest = max(sides, key=len)
        (group,) = to_restart(split(*sides), NODES, set(), NODES)
        assert not {f"n{number}" for number in largest.split()} & set(group)


def test_the_side_of_a_node_excludes_nodes_that_it_sees_partitioned() -> None:
    view = View(EVERYONE, {"n3": ["n1", "n2"]})
    assert view.side("n3") == {"n3", "n4", "n5"}
    assert view.side("n1") == EVERYONE


def test_the_problems_of_a_view() -> None:
    assert View(frozenset(NODES), {}).troubles(NODES) == []
    assert View(frozenset(NODES), {"n1": []}).troubles(NODES) == []
    assert View(frozenset(NODES[:3]), {}).troubles(NODES) == ["does not see n4 n5 running"]
    assert View(frozenset(NODES), {"n1": ["n4"]}).troubles(NODES) == ["sees a partition from n4"]
    assert View(frozenset(NODES), {}, ["memory"]).troubles(NODES) == ["has an alarm"]


@pytest.mark.parametrize(
    ("now", "back"),
    [
        (None, False),
        (Replicas("n1", ("n1", "n2"), ("n1",)), False),
        (Replicas("n1", ("n1", "n2"), ("n2",)), False),
        (Replicas("n1", ("n1", "n2"), ("n1", "n2")), True),
    ],
)
def test_a_restarted_node_is_back_with_its_replica(
    monkeypatch: pytest.MonkeyPatch, now: Replicas | None, back: bool
) -> None:
    monkeypatch.setattr(Recovery, "_replicas", lambda _: now)
    monkeypatch.setattr(Recovery, "_listens", lambda _, _node: True)
    under_test = Recovery(Fleet(), Journal(), (), "q", 1.0)  # type: ignore[arg-type]  # fakes
    assert under_test._is_back(["n2"], {"q": Replicas("n1", ("n1", "n2"), ("n1",))}) is back


def test_restarts_that_change_nothing_end_after_two_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    _, restarted, _ = recover(monkeypatch, [{"n1": CLOSED, "n2": CLOSED}], allowed=True)
    assert restarted == ["n1", "n2", "n1", "n2"]


def test_other_problems_after_a_round_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [{"n1": NodeProblem(f"does not start: {reason}")} for reason in range(9)]
    _, restarted, _ = recover(monkeypatch, answers, allowed=True)
    assert restarted == ["n1"] * ROUNDS


def of_several(
    monkeypatch: pytest.MonkeyPatch,
    placement: dict[str, Replicas],
    problems: dict[str, NodeProblem],
) -> tuple[list[list[str]], dict[str, Any]]:
    """Recover a cluster with three queues; return the restarted groups, and what is recorded."""
    groups: list[list[str]] = []
    monkeypatch.setattr(Recovery, "_problems", lambda _: problems)
    monkeypatch.setattr(Recovery, "_restart", lambda _, nodes: groups.append(list(nodes)))
    monkeypatch.setattr(
        "jepsenvm.rabbitmq.queue_listing.replicas_of", lambda *_args, **_kwargs: dict(placement)
    )
    monkeypatch.setattr(Fleet, "nodes", dict.fromkeys(NODES))
    journal = Journal()
    under_test = Recovery(Fleet(), journal, (), "q", -1.0, more_queues=("q.1", "q.2"))  # type: ignore[arg-type]  # fakes
    asyncio.run(under_test.wait())
    return groups, journal.data


SPLIT = {
    node: NodeProblem("sees a partition", frozenset(NODES[:3] if node < "n4" else NODES[3:]))
    for node in NODES
}


def test_nodes_are_restarted_together_only_if_every_queue_has_a_replica_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide = Replicas("n1", ("n1", "n4", "n5"), ())
    groups, data = of_several(monkeypatch, {"q": wide, "q.1": wide, "q.2": wide}, SPLIT)
    assert groups[0] == ["n4", "n5"]
    assert data["restarted-queues"] == []
    only_there = Replicas("n5", ("n5",), ())
    groups, data = of_several(monkeypatch, {"q": wide, "q.1": only_there, "q.2": wide}, SPLIT)
    assert groups[:2] == [["n4"], ["n5"]]
    assert data["restarted-queues"] == [1]


def test_a_queue_of_which_nobody_knows_the_replicas_may_be_emptied_by_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = Replicas("n1", ("n1", "n2"), ("n1",))
    groups, data = of_several(
        monkeypatch, {"q": elsewhere, "q.2": Replicas("n3", ("n3",), ())}, {"n3": CLOSED}
    )
    assert groups[0] == ["n3"]
    assert data["restarted-queues"] == [1, 2]


def test_recovery_waits_for_all_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    def queue(name: str, leader: str | None) -> Queue:
        return Queue(name, "running" if leader else "down", leader, 0, 0, 0)

    listed = {"q": queue("q", "n1"), "q.1": queue("q.1", None), "q.2": queue("q.2", None)}
    monkeypatch.setattr("jepsenvm.rabbitmq.queue_listing.queues", lambda *_: listed)
    under_test = Recovery(Fleet(), Journal(), (), "q", 1.0, more_queues=("q.1", "q.2"))  # type: ignore[arg-type]  # fakes
    (problem,) = under_test._queue_problem().values()
    assert problem.text == ("the queue q.1 is down, its leader is None (2 queues do not serve)")
    listed["q.1"] = listed["q.2"] = queue("q", "n2")
    assert under_test._queue_problem() == {}
    del listed["q.1"]  # the drain says that it is gone
    assert under_test._queue_problem() == {}
