"""The cluster as a node sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from jepsenvm.errors import RunError
from jepsenvm.rabbitmq import cluster_view
from jepsenvm.rabbitmq.cluster_view import View
from tests.unit.fakes import FakeFleet
from tests.unit.rabbitmq.answers import told


def host(name: str) -> str:
    return {"other@ip-10-0-0-7": "n7"}.get(name) or name.partition("@")[2]


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


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (
            {"rabbit@n1": "regular", "rabbit@n2": "draining"},
            {"n1": "not under maintenance", "n2": "marked for maintenance"},
        ),
        ({}, {}),
        (None, {}),
    ],
)
def test_the_maintenance_status_of_each_running_node(
    reported: Mapping[str, str] | None, expected: Mapping[str, str]
) -> None:
    status: dict[str, Any] = {"running_nodes": ["rabbit@n1", "rabbit@n2"], "partitions": {}}
    status["alarms"] = []
    if reported is not None:
        status["maintenance_status"] = reported
    fleet = FakeFleet("n1", "n2")
    fleet.outputs["n1"] = told(status)
    assert cluster_view.view(fleet, "n1").maintenance == expected


@pytest.mark.parametrize(
    ("listed", "listeners"),
    [
        (
            {
                "rabbit@n1": [
                    {"port": 25672, "protocol": "clustering", "interface": "[::]"},
                    {"port": 5671, "protocol": "amqp/ssl", "interface": "10.0.0.1"},
                ],
                "other@ip-10-0-0-7": [{"port": 5672, "protocol": "amqp"}],
                "rabbit@n3": [],
            },
            {"n1": {("clustering", 25672), ("amqp/ssl", 5671)}, "n7": {("amqp", 5672)}},
        ),
        (None, {}),
        ([], {}),
        ({"rabbit@n1": "none", "rabbit@n2": [{"port": "x"}, None]}, {}),
    ],
)
def test_the_listeners_of_each_node(listed: Any, listeners: dict[str, Any]) -> None:
    status = {"running_nodes": [], "partitions": {}, "alarms": [], "listeners": listed}
    assert cluster_view._view(status, host).listeners == listeners


ODD: list[Any] = [{}, None, 3, "text", [1], [], {"running_nodes": 5}]


@pytest.mark.parametrize("answer", ODD, ids=range(len(ODD)))
def test_a_view_that_is_not_understood_is_one_clear_error(answer: Any) -> None:
    fleet = FakeFleet("n1")
    fleet.outputs["n1"] = told(answer)
    with pytest.raises(RunError, match=r"^n1: cannot read the view of the cluster from") as refused:
        cluster_view.view(fleet, "n1")
    assert len(str(refused.value)) < 300
