"""A smoke test of a cluster: one confirmed message through each node, read back through another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from jepsenvm.errors import shorten
from jepsenvm.experiment.existing_cluster import create_virtual_host, remove_virtual_host
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq.amqp import Address, Delivery, Outcome, SessionLost, connect, failure_text
from jepsenvm.rabbitmq.credentials import credentials

logger = logging.getLogger(__name__)

DEADLINE_S: Final = 20
"""Seconds for the message of one node, multiplied by the patience of the inventory."""


def hello(inventory: Inventory) -> list[str]:
    """Publish one message through each node and read it back; return the nodes where that failed.

    The result for each node is logged. An existing cluster gets a virtual host for the messages.
    """
    login = credentials(inventory)
    addresses = [login.at(node) for node in inventory.nodes]
    deadline = DEADLINE_S * inventory.patience
    if not inventory.existing:
        return asyncio.run(_greet_all(addresses, deadline))
    with Fleet(inventory.nodes, patience=inventory.patience) as fleet:
        created = create_virtual_host(inventory, fleet, login)
        failed = asyncio.run(_greet_all(addresses, deadline))
        remove_virtual_host(fleet, created=created, decided=not failed)
    return failed


async def _greet_all(addresses: Sequence[Address], deadline: float) -> list[str]:
    failed = []
    for number, address in enumerate(addresses):
        other = addresses[(number + 1) % len(addresses)]
        try:
            async with asyncio.timeout(deadline):
                await _greet(address, other)
        except (SessionLost, TimeoutError) as error:
            reason = failure_text(error, f"no answer within {deadline:g} s")
            logger.info(f"{address.node}: FAILED: {reason}")
            failed.append(address.node)
        else:
            logger.info(f"{address.node}: confirmed, and back through {other.node}")
    return failed


async def _greet(address: Address, other: Address) -> None:
    """Publish a message through one node and consume it through another."""
    queue, greeting = f"jepsenvm.hello.{address.node}", f"hello from {address.node}".encode()
    publishing, consuming = await connect(address), await connect(other)
    try:
        await publishing.declare(queue, {"x-queue-type": "classic"})
        outcome = await publishing.publish(queue, greeting)
        if outcome is not Outcome.CONFIRMED:
            raise SessionLost(f"the broker answered {outcome.value}")
        arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def deliver(delivery: Delivery) -> None:
            consuming.acknowledge_up_to(delivery.tag)
            if not arrived.done():
                arrived.set_result(delivery.body)

        await consuming.consume(queue, 1, deliver)
        body = await arrived
        if body != greeting:
            raise SessionLost(f"another message came back: {shorten(repr(body))}")
        await publishing.delete(queue)
    finally:
        publishing.abandon("done")
        consuming.abandon("done")
