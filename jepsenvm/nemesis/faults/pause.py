"""Pause: SIGSTOP of every process of RabbitMQ, and SIGCONT to heal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import process
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Hosts, Kind
from jepsenvm.nemesis.undo import Undo
from jepsenvm.rabbitmq.names import SERVICE

_CONTINUE: Final = Undo(
    "paused", f"systemctl kill --signal=SIGCONT {SERVICE}", f"continued {SERVICE}, which was paused"
)


def inject(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Stop every process of the service where it stands."""
    if node not in fault.nodes:
        return []
    return [shell(f"systemctl kill --signal=SIGSTOP {SERVICE}", ahead=_CONTINUE.mark())]


def doubts(fault: Fault, before: Evidence, during: Evidence, _: ConcurrentFaults) -> Iterator[str]:
    """Yield the nodes whose runtime is not stopped."""
    yield from process.not_there_before(fault, before)
    for node in fault.nodes:
        state = (process.runtime(during, node) or {}).get("state")
        if state != "T":
            yield f"{node}'s RabbitMQ is in state {state}, not stopped"


def leftovers(fault: Fault, _: Evidence, after: Evidence, __: ConcurrentFaults) -> Iterator[str]:
    """Yield the nodes whose runtime is still stopped."""
    for node in fault.nodes:
        if (process.runtime(after, node) or {"state": "T"})["state"] == "T":
            yield f"{node}'s RabbitMQ is still stopped"


KIND = Kind(inject, _CONTINUE.heal, process.looks, doubts, leftovers, sweep=_CONTINUE.sweep)
