"""Restart: a clean restart of RabbitMQ's service, over as soon as the node serves again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import process
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Hosts, Kind
from jepsenvm.rabbitmq.names import SERVICE


def inject(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Restart the service, without waiting for it."""
    return [shell(f"systemctl restart --no-block {SERVICE}")] if node in fault.nodes else []


def heal(_: Fault, __: str, ___: str, ____: Hosts) -> Sequence[Action]:
    """Do nothing: it comes back by itself."""
    return []


def doubts(fault: Fault, before: Evidence, during: Evidence, _: ConcurrentFaults) -> Iterator[str]:
    """Yield the nodes whose runtime is the one from before."""
    yield from process.not_there_before(fault, before)
    yield from process.not_looked_at(fault, during)
    for node in fault.nodes:
        earlier, now = process.runtime(before, node), process.runtime(during, node)
        if earlier and now and earlier["started"] == now["started"]:
            yield f"{node}'s RabbitMQ was not restarted"


def leftovers(fault: Fault, _: Evidence, after: Evidence, __: ConcurrentFaults) -> Iterator[str]:
    """Yield the nodes whose broker does not serve again."""
    yield from (
        f"{node} does not listen for AMQP"
        for node in fault.nodes
        if not process.serves(after, node)
    )


KIND = Kind(
    inject, heal, process.looks, doubts, leftovers, settles_s=20.0, heals_s=120.0, lasting=False
)
