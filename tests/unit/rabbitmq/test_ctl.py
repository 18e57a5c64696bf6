"""What rabbitmqctl's tables mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from jepsenvm.errors import RunError
from jepsenvm.machines.ssh import Output
from jepsenvm.rabbitmq import ctl
from jepsenvm.rabbitmq.ctl import (
    _QUEUE_COLUMNS,
    _REPLICA_COLUMNS,
    Binding,
    Listing,
    Queue,
    Replicas,
    Settings,
    View,
    _queue,
    _replicas,
    _row,
    exchange_names,
    listing,
    queues,
    replicas,
)
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
    assert _queue(_row(line, _QUEUE_COLUMNS), host) == queue


def test_only_a_queue_with_counts_can_be_empty() -> None:
    assert _queue(_row("q\trunning\t\t<rabbit@n5.1.2.3>\t0\t0\t0", _QUEUE_COLUMNS), host).empty
    assert not _queue(_row("q\tdown\t\t\t\t", _QUEUE_COLUMNS), host).empty
    assert not _queue(_row("q\trunning\t\t<rabbit@n5.1.2.3>\t0\t0", _QUEUE_COLUMNS), host).empty


def test_a_queue_that_keeps_messages_for_a_dead_letter_queue_is_not_empty() -> None:
    assert not _queue(
        _row("q\trunning\trabbit@n2\t<rabbit@n2.1.2.3>\t0\t0\t40", _QUEUE_COLUMNS), host
    ).empty


@pytest.mark.parametrize(
    ("line", "replicas"),
    [
        (
            "q\tquorum\trabbit@n2\t<rabbit@n2.1.2.3>\t[rabbit@n1, rabbit@n2, 'rabbit@n-3']\t[rabbit@n2, rabbit@n1]",
            Replicas("n2", ("n-3", "n1", "n2"), ("n1", "n2")),
        ),
        ("q\tclassic\t\t<rabbit@n5.1795476522.1418.0>\t\t", Replicas("n5", (), ())),
        ("q", Replicas(None, (), ())),
    ],
)
def test_where_a_queue_is(line: str, replicas: Replicas) -> None:
    assert _replicas(_row(line, _REPLICA_COLUMNS), host) == replicas


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


class Rabbitmqctl(FakeFleet):
    """Answers the commands of rabbitmqctl; each answer belongs to a word of the command."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        super().__init__("n1", "n2", "n3")
        self.answers = answers

    def run(self, node: str, script: str, **_options: Any) -> Output:
        self.scripts.append((node, script))
        return Output(next(text for word, text in self.answers.items() if word in script), "", 0)


BINDINGS = [
    {"source_name": "", "destination_name": "q", "destination_kind": "queue", "routing_key": "q"},
    {"source_name": "e", "destination_name": "q", "destination_kind": "queue", "routing_key": "1"},
    {
        "source_name": "e",
        "destination_name": "f",
        "destination_kind": "exchange",
        "routing_key": "",
    },
]


def test_what_a_node_lists() -> None:
    names = json.dumps([{"name": "q"}, {"name": "x\ny"}])
    exchanges = json.dumps([{"name": ""}, {"name": "e"}])
    answers = {"list_queues": names, "list_exchanges": exchanges}
    fleet = Rabbitmqctl({**answers, "list_bindings": json.dumps(BINDINGS)})
    assert listing(fleet, "n1") == Listing(
        queues=frozenset({"q", "x\ny"}),
        exchanges=frozenset({"", "e"}),
        bindings=frozenset({Binding("e", "q", "1")}),
    )
    assert exchange_names(fleet, "n2") == {"", "e"}
    assert [node for node, _ in fleet.scripts] == ["n1", "n1", "n1", "n2"]
    for malformed in ("{}x", "[1]", '[{"source_name": ""}]', "7"):
        fleet = Rabbitmqctl({**answers, "list_bindings": malformed})
        with pytest.raises(RunError, match="n1: rabbitmqctl list_bindings gave an answer"):
            listing(fleet, "n1")


def test_bindings_are_listed_by_one_command() -> None:
    fleet = Rabbitmqctl({"list_bindings": json.dumps(BINDINGS)})
    assert ctl.bindings(fleet, "n2") == {Binding("e", "q", "1")}
    assert [node for node, _ in fleet.scripts] == ["n2"]


def test_the_replicas_of_several_queues_come_from_one_listing() -> None:
    rows = (
        "a\tquorum\trabbit@n3\t<rabbit@n3.1.7.0>\t[rabbit@n2,rabbit@n3]\t[rabbit@n3]\n"
        "b\tclassic\t\t<rabbit@n1.1.7.0>\t\t\n"
        "twice\tclassic\t\t<rabbit@n1.1.7.0>\t\t\n"
        "twice\tclassic\t\t<rabbit@n1.1.7.0>\t\t\n"
        "other\tclassic\t\t<rabbit@n1.1.7.0>\t\t\n"
    )
    fleet = Rabbitmqctl({" version": "3.10.8", "list_queues": rows})
    assert ctl.replicas_of(fleet, "n1", ["a", "b", "twice", "gone"]) == {
        "a": Replicas("n3", ("n2", "n3"), ("n3",)),
        "b": Replicas("n1", ("n1",), ()),
    }
    assert sum("list_queues" in script for _, script in fleet.scripts) == 1


def test_an_old_version_does_not_tell_the_replicas_of_several_quorum_queues() -> None:
    rows = "a\tquorum\t<rabbit@n3.1.7.0>\nb\tclassic\t<rabbit@n1.1.7.0>\n"
    fleet = Rabbitmqctl({**OLD, "list_queues": rows})
    assert ctl.replicas_of(fleet, "n1", ["a", "b"]) == {"b": Replicas("n1", ("n1",), ())}


def test_the_name_of_a_queue_cannot_forge_the_line_of_another() -> None:
    """A queue with the name ``x<newline>q<tab>running...``, as rabbitmqctl prints it."""
    forged = "q\trunning\t\t<rabbit@n1.1.2.3>\t0\t0\t0"
    rows = f"x\n{forged}\nq\trunning\t\t<rabbit@n1.1.2.3>\t7\t0\t7"
    fleet = Rabbitmqctl({" version": "3.10.8\n", "list_queues": rows})
    assert queues(fleet, "n1")["q"] == Queue("q", "unknown", None, -1, -1, -1)
    with pytest.raises(RunError, match="n1: list_queues lists the queue 'q' twice"):
        replicas(fleet, "n1", "q")
    fleet = Rabbitmqctl({" version": "3.10.8\n", "list_queues": forged})
    assert queues(fleet, "n1")["q"].empty


OLD = {
    " version": "3.8.9\n",
    "list_queues": "c\trunning\tclassic\t<rabbit@n2.1.709.0>\t0\t0\t0\n",
}
"""What rabbitmqctl of 3.8.9 prints. It refuses the columns leader, members and online."""


def test_the_queues_of_an_old_version_are_listed_without_the_columns_that_it_lacks() -> None:
    fleet = Rabbitmqctl({**OLD, "list_queues": "q\trunning\t<rabbit@n2.1.709.0>\t1\t2\t3\n"})
    assert ctl.queues(fleet, "n1") == {"q": Queue("q", "running", "n2", 1, 2, 3)}
    listing = fleet.scripts[-1][1]
    assert not {"leader", "members", "online"} & set(listing.split())
    ctl.queues(fleet, "n1")
    assert [script for _, script in fleet.scripts].count("rabbitmqctl --quiet version") == 1


def test_the_replicas_of_a_quorum_queue_of_an_old_version_come_from_its_status() -> None:
    status = """[
        {"Node Name": "rabbit@n1", "Raft State": "follower", "Log Index": 1},
        {"Node Name": "rabbit@n2", "Raft State": "noproc", "Log Index": ""},
        {"Node Name": "rabbit@n3", "Raft State": "leader", "Log Index": 1}
    ]"""
    rows = "other\tclassic\t<rabbit@n1.1.7.0>\nq 1\tquorum\t<rabbit@n2.1.7.0>\n"
    fleet = Rabbitmqctl({**OLD, "list_queues": rows, "quorum_status": status})
    assert ctl.replicas(fleet, "n1", "q 1") == Replicas("n3", ("n1", "n2", "n3"), ("n1", "n3"))
    assert ctl.replicas(fleet, "n1", "other") == Replicas("n1", (), ())
    assert ctl.replicas(fleet, "n1", "gone") is None


@pytest.mark.parametrize("version", ["3.10.8", "4.0.5", "4.3.6", "4.4.0-beta.1+5.gabc"])
def test_newer_versions_are_asked_for_the_leader(version: str) -> None:
    row = "q\tquorum\trabbit@n3\t<rabbit@n2.1.7.0>\t[rabbit@n2,rabbit@n3]\t[rabbit@n3]\n"
    fleet = Rabbitmqctl({" version": version, "list_queues": row})
    assert ctl.replicas(fleet, "n1", "q") == Replicas("n3", ("n2", "n3"), ("n3",))


def test_the_version_of_a_node_is_learnt_with_its_settings() -> None:
    fleet = Rabbitmqctl({"eval": "3.8.9|ignore|60ok"})
    assert ctl.settings(fleet, "n1").version == "3.8.9"
    assert fleet.nodes["n1"].broker_version == "3.8.9"


def test_one_node_tells_the_settings_of_all_that_it_reaches() -> None:
    answer = (
        "rabbit@n1|3.10.8|autoheal|15\n"
        "rabbit@n2|3.9.4|pause_minority|60\n"
        "other@elsewhere|3.10.8|autoheal|15\n"
        "[ok,ok,ok]\n"
    )
    fleet = Rabbitmqctl({"eval": answer})
    assert ctl.settings_of_cluster(fleet, "n1") == {
        "n1": Settings("3.10.8", "autoheal", 15),
        "n2": Settings("3.9.4", "pause_minority", 60),
    }
    assert fleet.nodes["n2"].broker_version == "3.9.4"


@pytest.mark.parametrize(
    "line",
    [
        "rabbit@n2|3.10.8|badrpc|15",
        "rabbit@n2|3.10.8|autoheal|{badrpc,nodedown}",
        "rabbit@n2|3.10.8|autoheal|{ongoing_change_to,60}",
        "rabbit@n2|3.10.8|autoheal",
        "",
    ],
)
def test_a_node_whose_settings_are_not_told_is_left_out(line: str) -> None:
    fleet = Rabbitmqctl({"eval": f"rabbit@n1|3.10.8|autoheal|15\n{line}\n[ok,ok]\n"})
    assert list(ctl.settings_of_cluster(fleet, "n1")) == ["n1"]


ODD = [
    "",
    "{}",
    "[]",
    "null",
    "3",
    '"text"',
    "{",
    "[" * 100_000,
    '{"running_nodes": 5}',
    "1" * 5000,
]


@pytest.mark.parametrize("answer", ODD, ids=range(len(ODD)))
def test_an_answer_that_is_not_understood_is_one_clear_error(answer: str) -> None:
    fleet = Rabbitmqctl({"rabbitmqctl": answer})
    for ask in (ctl.view, ctl.settings, ctl.queues):
        with pytest.raises(RunError, match=r"^n1: rabbitmqctl .* not understood") as refused:
            ask(fleet, "n1")
        assert len(str(refused.value)) < 300
    if answer not in ("{}", "[]"):
        with pytest.raises(RunError, match=r"list_vhosts .* not understood"):
            ctl.make_vhost(fleet, "n1", "user")


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (
            {"rabbit@n1": "not under maintenance", "rabbit@n2": "marked for maintenance"},
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
    fleet.outputs["n1"] = json.dumps(status)
    assert ctl.view(fleet, "n1").maintenance == expected


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
    assert ctl._view(status, host).listeners == listeners
