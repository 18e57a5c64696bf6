"""Stop-app: the broker is stopped within a runtime that stays up (``rabbitmqctl stop_app``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import process
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Hosts, Kind
from jepsenvm.nemesis.undo import Undo

_START: Final = Undo(
    "app-stopped",
    "timeout 120 rabbitmqctl --quiet start_app",
    "started the broker, which was stopped within its runtime",
)


def inject(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Stop the broker."""
    if node not in fault.nodes:
        return []
    return [shell("timeout 60 rabbitmqctl --quiet stop_app", ahead=_START.mark())]


def doubts(fault: Fault, before: Evidence, during: Evidence, _: ConcurrentFaults) -> Iterator[str]:
    """Yield the nodes whose runtime is gone, or whose broker serves."""
    yield from process.not_there_before(fault, before)
    for node in fault.nodes:
        if not process.runtime(during, node):
            yield f"{node}'s runtime is not up"
        elif process.serves(during, node):
            yield f"{node} still listens for AMQP"


def leftovers(fault: Fault, _: Evidence, after: Evidence, __: ConcurrentFaults) -> Iterator[str]:
    """Yield the nodes whose broker does not serve again."""
    yield from (
        f"{node} does not listen for AMQP"
        for node in fault.nodes
        if not process.serves(after, node)
    )


KIND = Kind(
    inject,
    _START.heal,
    process.looks,
    doubts,
    leftovers,
    sweep=_START.sweep,
    settles_s=10.0,
    heals_s=120.0,
)
