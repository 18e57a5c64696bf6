"""What the probes make of the answers of the nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jepsenvm.errors import UnreachableError
from jepsenvm.nemesis.probes import probe
from tests.unit.fakes import FakeFleet, facts
from tests.unit.rabbitmq.answers import told

NODES = ("n1", "n2", "n3")
"""Their addresses are 192.0.2.11, 192.0.2.12 and 192.0.2.13."""


class Answering(FakeFleet):
    """A fleet whose nodes answer programs; a node without an answer is silent."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__(*NODES)
        self.answers = answers

    def python(
        self,
        node: str,
        program: str,
        order: Mapping[str, Any] | None = None,
        *_: Any,
        **__: Any,
    ) -> Any:
        self.orders.append((node, program, order or {}))
        if node not in self.answers:
            raise UnreachableError("no answer", node=node)
        return self.answers[node]


def test_both_ends_describe_a_connection_in_the_same_way() -> None:
    here, there = "192.0.2.11:40000", "192.0.2.12:25672"
    fleet = Answering({"n1": [[here, there]], "n2": [[there, here]]})
    found = probe(fleet, facts(*NODES), ["distribution"], None)["distribution"]
    connection = f"{here} {there}"
    assert found == {"n1": {"n2": [connection]}, "n2": {"n1": [connection]}, "n3": None}
    assert {order["ports"][0] for _, _, order in fleet.orders} == {25672}


def test_connections_with_itself_and_with_strangers_are_left_out() -> None:
    own = ["192.0.2.11:40000", "192.0.2.11:25672"]
    strange = ["192.0.2.11:25672", "198.51.100.7:40000"]
    fleet = Answering({"n1": [own, strange]})
    found = probe(fleet, facts(*NODES), ["distribution"], None)["distribution"]
    assert found["n1"] == {}


def test_a_damaged_record_of_a_corruption_is_not_an_absent_one() -> None:
    fleet = FakeFleet(*NODES)
    fleet.outputs = {"n1": "null\n", "n2": '{"offset": 5}', "n3": '{"offse'}
    found = probe(fleet, facts(*NODES), ["corruption"], None)["corruption"]
    assert found == {"n1": {"record": None}, "n2": {"record": {"offset": 5}}, "n3": None}


def test_each_node_reports_its_own_maintenance_status() -> None:
    fleet = FakeFleet(*NODES)
    both = {"rabbit@n1": "regular", "rabbit@n2": "draining"}
    status = {"partitions": {}, "alarms": [], "maintenance_status": both}
    fleet.outputs = dict.fromkeys(NODES, told({"running_nodes": ["rabbit@n1"], **status}))
    fleet.broken = {"n2"}
    found = probe(fleet, facts(*NODES), ["maintenance"], None)["maintenance"]
    assert found == {"n1": "not under maintenance", "n2": None, "n3": None}
