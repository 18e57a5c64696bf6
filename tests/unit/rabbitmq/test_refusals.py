"""Which nodes refuse clients, although some of them listen."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from pika import spec

from jepsenvm.rabbitmq.amqp import Address
from jepsenvm.rabbitmq.connections import refusals
from tests.unit.rabbitmq import broker
from tests.unit.rabbitmq.broker import Broker

DOWN = "INTERNAL_ERROR - access to vhost '/' refused for user 'u': vhost '/' is down"


def closing() -> spec.Connection.Close:
    return spec.Connection.Close(541, DOWN, 0, 0)


def refused(timeout: float, *, silent: bool = False) -> dict[str, str]:
    """Ask a broker as n1, and a port without a listener as n2."""

    async def ask() -> dict[str, str]:
        async with Broker().listening() as listening:
            if silent:
                listening.reading.clear()
            n1 = Address("n1", broker.HOST, listening.port, "u", "p")
            return await refusals([n1, replace(n1, node="n2", port=1)], timeout)

    return asyncio.run(ask())


def test_a_node_that_serves_clients_refuses_nothing() -> None:
    assert set(refused(5)) == {"n2"}


def test_a_node_whose_virtual_host_is_down_refuses_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(broker.ANSWERS, spec.Connection.Open, closing)
    assert "vhost '/' is down" in refused(5)["n1"]


def test_a_node_that_does_not_answer_refuses_clients() -> None:
    assert refused(0.3, silent=True)["n1"] == "no answer in time"
