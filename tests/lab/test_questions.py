"""The answers to questions agree with the output of rabbitmqctl, through both programs."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import pytest

from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq import cluster_view, ctl, node_names, queue_listing, topology_listing
from jepsenvm.rabbitmq.amqp import connect
from jepsenvm.rabbitmq.credentials import credentials
from jepsenvm.rabbitmq.topology_listing import Binding
from tests.lab.conftest import until
from tests.lab.whole import NET_TICKTIME

MESSAGES: Final = {"asked.classic": 2, "asked.quorum": 3, "asked.stream": 0}
"""The queues of the tests, and how many messages each gets. Each has a binding with its type."""

COLUMNS: Final = ("name", "state", "leader", "members", "online")
COUNTS: Final = ("messages_ready", "messages_unacknowledged", "messages")


def printed(fleet: Fleet, node: str, *words: str) -> Any:
    """Return the JSON that ``rabbitmqctl`` prints."""
    command = shlex.join(["rabbitmqctl", "--quiet", "--formatter", "json", *words])
    return json.loads(fleet.run(node, command, timeout=60).stdout)


def declaring(vhost: str, queue: str) -> str:
    """Return the Erlang expression that declares a queue and binds it to an exchange."""
    kind = f'<<"{queue.partition(".")[2]}">>'
    name = f'rabbit_misc:r(<<"{vhost}">>, queue, <<"{queue}">>)'
    exchange = f'rabbit_misc:r(<<"{vhost}">>, exchange, <<"amq.direct">>)'
    arguments = f'[{{<<"x-queue-type">>, longstr, {kind}}}]'
    return (
        f"rabbit_amqqueue:declare({name}, true, false, {arguments}, none, <<>>), "
        f"rabbit_binding:add({{binding, {exchange}, {kind}, {name}, []}}, <<>>)."
    )


@contextmanager
def queues_of_each_type(cluster: Inventory, fleet: Fleet, node: str) -> Iterator[None]:
    vhost = fleet.nodes[node].vhost

    async def publish() -> None:
        session = await connect(credentials(cluster).at(cluster.nodes[-1]))
        for queue, messages in MESSAGES.items():
            for _ in range(messages):
                await session.publish(queue, b"1")
        await session.close()

    try:
        for queue in MESSAGES:
            words = ["rabbitmqctl", "--quiet", "eval", declaring(vhost, queue)]
            fleet.run(node, shlex.join(words), timeout=60)
        asyncio.run(publish())
        # The counts are those of this instant, also for a quorum queue.
        assert _counts(fleet, node) == MESSAGES
        yield
    finally:
        for queue in MESSAGES:
            delete = shlex.join(["rabbitmqctl", "--quiet", "delete_queue", "-p", vhost, queue])
            fleet.run(node, delete, timeout=60, check=False)


def _counts(fleet: Fleet, node: str) -> dict[str, int]:
    found = queue_listing.queues(fleet, node)
    return {name: found[name].messages for name in MESSAGES if name in found}


@pytest.fixture(params=["erl_call", "rabbitmqctl"])
def asking(cluster: Inventory, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """A fleet whose questions go through one of the two programs."""
    with Fleet(cluster.nodes) as fleet:
        if request.param == "erl_call":
            node_names.learn_names(fleet)
        else:
            for node in list(fleet.nodes.values()):
                fleet.learn(replace(node, broker=None))
        yield fleet


def host(broker: str) -> str:
    return broker.partition("@")[2]


def test_a_view_agrees_with_what_rabbitmqctl_prints(cluster: Inventory, asking: Fleet) -> None:
    node = cluster.nodes[1].name
    status = printed(asking, node, "cluster_status")
    view = cluster_view.view(asking, node)
    assert view.running == set(map(host, status["running_nodes"])) == set(asking.nodes)
    assert view.members == set(map(host, status["disk_nodes"]))
    assert (view.partitions, list(view.alarms)) == ({}, [])
    assert view.maintenance == {
        host(broker): text for broker, text in status["maintenance_status"].items()
    }
    assert view.listeners == {
        host(broker): {(each["protocol"], each["port"]) for each in listeners}
        for broker, listeners in status["listeners"].items()
    }
    settings = asking.each(lambda name: ctl.settings(asking, name))
    assert {each.net_ticktime for each in settings.values()} == {NET_TICKTIME}
    assert {each.partition_handling for each in settings.values()} == {"autoheal"}
    assert {
        host(broker): each["rabbitmq_version"] for broker, each in status["versions"].items()
    } == {name: each.version for name, each in settings.items()}


def test_queues_agree_with_what_rabbitmqctl_prints(cluster: Inventory, asking: Fleet) -> None:
    node = cluster.nodes[1].name
    with queues_of_each_type(cluster, asking, node):
        vhost = asking.nodes[node].vhost

        def by_name() -> dict[str, Any]:
            rows = printed(asking, node, "list_queues", "-p", vhost, *COLUMNS, *COUNTS)
            return {row["name"]: row for row in rows}

        # A quorum queue tells rabbitmqctl its counts every few seconds.
        assert until(lambda: by_name()["asked.quorum"]["messages"], 30)
        rows = by_name()
        found = queue_listing.queues(asking, node)
        where = queue_listing.replicas_of(asking, node, list(found))
        assert set(MESSAGES) <= set(rows) == set(found) == set(where)
        for name, messages in MESSAGES.items():
            queue, row = found[name], rows[name]
            assert (queue.ready, queue.messages) == (messages, messages)
            assert [row[count] for count in COUNTS] == [
                *(queue.ready, queue.unacknowledged, queue.messages)
            ]
            assert queue.state == row["state"]
            assert where[name].leader == queue.leader
            if row["leader"]:
                assert queue.leader == host(row["leader"])
                assert set(where[name].members) == set(map(host, row["members"]))
                assert set(where[name].online) == set(map(host, row["online"]))
        listed = topology_listing.listing(asking, node)
        bindings = printed(asking, node, "list_bindings", "-p", vhost)
        exchanges = printed(asking, node, "list_exchanges", "-p", vhost, "name")
        assert listed.queues == set(rows)
        assert listed.exchanges == {row["name"] for row in exchanges}
        assert listed.bindings == {
            Binding(row["source_name"], row["destination_name"], row["routing_key"])
            for row in bindings
            if row["source_name"]
        }
        assert Binding("amq.direct", "asked.quorum", "quorum") in listed.bindings
