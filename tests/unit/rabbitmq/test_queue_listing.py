"""The queues that a node lists, and where they are."""

from __future__ import annotations

from typing import Any

import pytest

from jepsenvm.errors import RunError
from jepsenvm.rabbitmq.queue_listing import Queue, Replicas, queues, replicas, replicas_of
from tests.unit.fakes import FakeFleet
from tests.unit.rabbitmq.answers import name, told


def row(queue: str, node: str, **info: Any) -> dict[str, Any]:
    return {"name": name(queue), "node": node, "info": info}


def counts(ready: Any, unacknowledged: Any, messages: Any) -> dict[str, Any]:
    return {
        "messages_ready": ready,
        "messages_unacknowledged": unacknowledged,
        "messages": messages,
    }


def fleet(*rows: Any) -> FakeFleet:
    fleet = FakeFleet("n1", "n2", "n3")
    fleet.outputs["n1"] = told(list(rows))
    return fleet


@pytest.mark.parametrize(
    ("listed", "queue"),
    [
        (
            row("q", "rabbit@n5", state="running", **counts(3, 4, 9)),
            Queue("q", "running", "n5", 3, 4, 9),
        ),
        (
            row("q", "rabbit@n5", state="running", leader="rabbit@n2", **counts(0, 0, 0)),
            Queue("q", "running", "n2", 0, 0, 0),
        ),
        (
            row("q", "rabbit@n1.example.org", state="running", leader="", **counts(0, 0, 0)),
            Queue("q", "running", "n1.example.org", 0, 0, 0),
        ),
        (
            row("q", "none", state="running", leader="undefined", **counts("", 0, True)),
            Queue("q", "running", None, -1, 0, -1),
        ),
        (row("q", "rabbit@n1", state="down"), Queue("q", "down", "n1", -1, -1, -1)),
        (row("q", "rabbit@n1"), Queue("q", "unknown", "n1", -1, -1, -1)),
    ],
)
def test_a_queue(listed: Any, queue: Queue) -> None:
    assert queues(fleet(listed), "n1") == {"q": queue}


def test_only_a_queue_with_counts_can_be_empty() -> None:
    def listed(**info: Any) -> Queue:
        return queues(fleet(row("q", "rabbit@n1", **info)), "n1")["q"]

    assert listed(state="running", **counts(0, 0, 0)).empty
    assert not listed(state="down").empty
    assert not listed(state="running", messages_ready=0, messages_unacknowledged=0).empty
    assert not listed(state="running", **counts(0, 0, -1)).empty
    # With at-least-once dead lettering a quorum queue keeps messages until their target has them.
    assert not listed(state="running", **counts(0, 0, 40)).empty


def test_the_name_of_a_queue_cannot_forge_another_row() -> None:
    forged = 'x\nq", "node": "rabbit@n1'
    listed = fleet(row(forged, "rabbit@n1"), row("\udcff", "rabbit@n1"), row("q", "rabbit@n2"))
    assert list(queues(listed, "n1")) == [forged, "\udcff", "q"]


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (
            row(
                *("q", "rabbit@n3"),
                leader="rabbit@n2",
                members=["rabbit@n1", "rabbit@n2", "rabbit@n-3"],
                online=["rabbit@n2", "rabbit@n1"],
            ),
            Replicas("n2", ("n-3", "n1", "n2"), ("n1", "n2")),
        ),
        (row("q", "rabbit@n3", state="running"), Replicas("n3", (), ())),
        (row("q", "none", state="down"), Replicas(None, (), ())),
        (row("other", "rabbit@n3"), None),
    ],
)
def test_where_a_queue_is(listed: Any, found: Replicas | None) -> None:
    assert replicas(fleet(listed), "n1", "q") == found


def test_the_replicas_of_several_queues_come_from_one_question() -> None:
    asked = fleet(
        row("a", "rabbit@n3", leader="rabbit@n3", members=["rabbit@n2", "rabbit@n3"], online=[]),
        row("b", "rabbit@n1", state="running"),
        row("other", "rabbit@n1", state="running"),
    )
    assert replicas_of(asked, "n1", ["a", "b", "gone"]) == {
        "a": Replicas("n3", ("n2", "n3"), ()),
        "b": Replicas("n1", ("n1",), ()),
    }
    assert len(asked.scripts) == 1


ODD: list[Any] = [None, 3, "text", [1], [{"name": "q"}], [row("q", "n")["info"]]]


@pytest.mark.parametrize("answer", ODD, ids=range(len(ODD)))
def test_a_list_that_is_not_understood_is_one_clear_error(answer: Any) -> None:
    asked = FakeFleet("n1")
    asked.outputs["n1"] = told(answer)
    with pytest.raises(RunError, match=r"^n1: cannot read the queues from"):
        queues(asked, "n1")
