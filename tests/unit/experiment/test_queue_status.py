"""What is left in a queue: empty or gone only if every node says so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from jepsenvm.errors import UnreachableError
from jepsenvm.experiment import queue_status as queue_status_module
from jepsenvm.experiment.queue_status import queue_listing, queue_status
from jepsenvm.rabbitmq.queue_listing import Queue
from jepsenvm.workloads.context import QueueStatus


def queue(ready: int = 0, unacknowledged: int = 0, messages: int | None = None) -> Queue:
    total = ready + unacknowledged if messages is None else messages
    return Queue("q", "running", "n1", ready, unacknowledged, total)


def left(
    monkeypatch: pytest.MonkeyPatch, *answers: Queue | Exception | None, deleted: bool = False
) -> QueueStatus:
    def queues(_fleet: object, node: int) -> dict[str, Queue]:
        answer = answers[node]
        if isinstance(answer, Exception):
            raise answer
        return {"q": answer} if answer else {}

    class Fleet:
        @staticmethod
        def each_or_error(task: Any) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for node in range(len(answers)):
                try:
                    found[f"n{node + 1}"] = task(node)
                except UnreachableError as error:
                    found[f"n{node + 1}"] = error
            return found

    monkeypatch.setattr(queue_status_module, "queues", queues)
    monkeypatch.setattr(
        queue_status_module, "deleted_by_clients", lambda _fleet, _gone: {"q"} if deleted else set()
    )
    fleet: Any = Fleet()
    status = asyncio.run(queue_status(fleet, "q"))

    async def of_several() -> Mapping[str, QueueStatus]:
        return await queue_listing(fleet)(["q", "other"])

    several = asyncio.run(of_several())
    assert several["q"] == status
    assert bool(several["other"].messages) == any(isinstance(a, Exception) for a in answers)
    return status


def test_a_queue_is_empty_if_every_node_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert left(monkeypatch, queue(), queue()) == QueueStatus(0, "ready 0, unacknowledged 0")


def test_a_queue_that_one_node_does_not_know_is_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    assert left(monkeypatch, queue(), None).messages == 1


def test_a_queue_that_no_node_knows_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = left(monkeypatch, None, None)
    assert (gone.messages, gone.is_gone, gone.deleted) == (None, True, False)
    deleted = left(monkeypatch, None, None, deleted=True)
    assert (deleted.is_gone, deleted.deleted) == (True, True)
    assert deleted.text == "that the queue is gone from every node, and a log has its deletion"


def test_a_node_without_an_answer_counts_as_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = left(monkeypatch, queue(), UnreachableError("silent", node="n2"))
    assert answer.messages == 1
    assert "n2" in answer.text


def test_the_largest_counts_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = left(monkeypatch, queue(ready=3), queue(unacknowledged=2, messages=7))
    assert answer == QueueStatus(1, "ready 3, unacknowledged 2, kept 5", 2)


def test_a_queue_without_counts_is_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "no counts of the queue, which is running"
    assert left(monkeypatch, queue(-1, -1, -1)) == QueueStatus(1, text)
    assert left(monkeypatch, queue(), queue(0, 0, -1)) == QueueStatus(1, text)
