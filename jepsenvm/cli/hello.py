"""jepsenvm hello: one confirmed message through each node, and back through another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.errors import RunError
from jepsenvm.experiment import existing_cluster as guest
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq.amqp import Address, Delivery, Outcome, SessionLost, connect
from jepsenvm.rabbitmq.credentials import credentials

DEADLINE_S = 20


@click.command("hello")
@options.inventory
@options.existing
@options.patience
def command(inventory_path: Path | None, *, existing: bool, patience: float | None) -> None:
    """Publish one confirmed message through each node and get it back through another."""
    inventory = inventory_for(inventory_path, existing=existing, patience=patience)
    secret = credentials(inventory)
    greet = _greet_all(
        [secret.at(node) for node in inventory.nodes], DEADLINE_S * inventory.patience
    )
    if inventory.existing:
        with Fleet(inventory.nodes, patience=inventory.patience) as fleet:
            made = guest.move_in(inventory, fleet, secret)
            failures = asyncio.run(greet)
            guest.move_out(fleet, made=made, decided=not failures)
    else:
        failures = asyncio.run(greet)
    if failures:
        raise RunError(
            f"no hello from {', '.join(failures)}",
            remedy="run `jepsenvm doctor`, or `jepsenvm deploy`",
        )


async def _greet_all(addresses: Sequence[Address], deadline: float) -> list[str]:
    failures = []
    for number, address in enumerate(addresses):
        other = addresses[(number + 1) % len(addresses)]
        try:
            async with asyncio.timeout(deadline):
                line = await _greet(address, other)
        except (SessionLost, TimeoutError) as problem:
            line = f"{address.node}: FAILED: {problem or f'no answer within {deadline:g} s'}"
            failures.append(address.node)
        click.echo(line)
    return failures


async def _greet(address: Address, other: Address) -> str:
    queue, greeting = f"jepsenvm.hello.{address.node}", f"hello from {address.node}".encode()
    here, there = await connect(address), await connect(other)
    try:
        await here.declare(queue, {"x-queue-type": "classic"})
        outcome = await here.publish(queue, greeting)
        if outcome is not Outcome.CONFIRMED:
            raise SessionLost(f"the broker said {outcome.value}")
        arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def deliver(delivery: Delivery) -> None:
            there.acknowledge_up_to(delivery.tag)
            if not arrived.done():
                arrived.set_result(delivery.body)

        await there.consume(queue, 1, deliver)
        body = await arrived
        if body != greeting:
            raise SessionLost(f"another message came back: {body!r}")
        await here.delete(queue)
    finally:
        here.abandon("done")
        there.abandon("done")
    return f"{address.node}: confirmed, and back through {other.node}"
