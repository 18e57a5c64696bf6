"""What rabbitmqctl's tables mean."""

from __future__ import annotations

import pytest

from jepsenvm.errors import RunError
from jepsenvm.rabbitmq.ctl import Queue, Replicas, View, _queue, _replicas, queues, replicas
from tests.unit.fakes import FakeFleet


def host(name: str) -> str:
    return {"other@ip-10-0-0-7": "n7"}.get(name) or name.partition("@")[2]


@pytest.mark.parametrize(
    ("line", "queue"),
    [
        (
            "q\trunning\t\t<rabbit@n5.1795476522.1418.0>\t3\t4\t9",
            Queue("q", "running", "n5", 3, 4, 9),
        ),
        ("q\trunning\trabbit@n2\t<rabbit@n2.1.2.3>\t0\t0\t0", Queue("q", "running", "n2", 0, 0, 0)),
        (
            "q\trunning\t\t<rabbit@n1.example.org.1795476522.1418.0>\t0\t0\t0",
            Queue("q", "running", "n1.example.org", 0, 0, 0),
        ),
        ("q\trunning\tother@ip-10-0-0-7\t\t0\t0\t0", Queue("q", "running", "n7", 0, 0, 0)),
        (
            "q\trunning\t\t<'other@ip-10-0-0-7'.1.2.3>\t0\t0\t0",
            Queue("q", "running", "n7", 0, 0, 0),
        ),
        ("q\tdown\t\t\t\t", Queue("q", "down", None, -1, -1, -1)),
        ("q", Queue("q", "unknown", None, -1, -1, -1)),
    ],
)
def test_a_line_of_list_queues(line: str, queue: Queue) -> None:
    assert _queue(line, host) == queue


def test_only_a_queue_with_counts_can_be_empty() -> None:
    assert _queue("q\trunning\t\t<rabbit@n5.1.2.3>\t0\t0\t0", host).empty
    assert not _queue("q\tdown\t\t\t\t", host).empty
    assert not _queue("q\trunning\t\t<rabbit@n5.1.2.3>\t0\t0", host).empty


def test_a_queue_that_keeps_messages_for_a_dead_letter_queue_is_not_empty() -> None:
    assert not _queue("q\trunning\trabbit@n2\t<rabbit@n2.1.2.3>\t0\t0\t40", host).empty


@pytest.mark.parametrize(
    ("line", "replicas"),
    [
        (
            "q\trabbit@n2\t<rabbit@n2.1.2.3>\t[rabbit@n1, rabbit@n2, 'rabbit@n-3']\t[rabbit@n2, rabbit@n1]",
            Replicas("n2", ("n-3", "n1", "n2"), ("n1", "n2")),
        ),
        ("q\t\t<rabbit@n5.1795476522.1418.0>\t\t", Replicas("n5", (), ())),
        ("q", Replicas(None, (), ())),
    ],
)
def test_where_a_queue_is(line: str, replicas: Replicas) -> None:
    assert _replicas(line, host) == replicas


def test_alarms_as_texts() -> None:
    alarms = [
        {"node": "rabbit@n2", "resource": "memory", "type": "resource_limit"},
        {"node": "rabbit@n1", "type": "file_descriptor_limit"},
        "odd",
    ]
    assert View(frozenset(), {}, alarms).alarm_texts() == [
        "n1 file_descriptor_limit",
        "n2 memory",
        "odd",
    ]


def test_the_name_of_a_queue_cannot_forge_the_line_of_another() -> None:
    """A queue with the name ``x<newline>q<tab>running...``, as rabbitmqctl prints it."""
    fleet = FakeFleet("n1")
    forged = "q\trunning\t\t<rabbit@n1.1.2.3>\t0\t0\t0"
    fleet.outputs["n1"] = f"x\n{forged}\nq\trunning\t\t<rabbit@n1.1.2.3>\t7\t0\t7"
    assert queues(fleet, "n1")["q"] == Queue("q", "unknown", None, -1, -1, -1)
    with pytest.raises(RunError, match="n1: list_queues lists the queue 'q' twice"):
        replicas(fleet, "n1", "q")
    fleet.outputs["n1"] = forged
    assert queues(fleet, "n1")["q"].empty
