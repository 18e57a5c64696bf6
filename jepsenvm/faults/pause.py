"""Pause: SIGSTOP of every process of RabbitMQ, and SIGCONT to heal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jepsenvm.faults import process
from jepsenvm.faults.host import SERVICE
from jepsenvm.faults.kind import STATE, Action, Around, Hosts, Kind, Sights, shell
from jepsenvm.plan.fault import Fault

_PAUSED: Final = f"{STATE}/paused"

_CONTINUE: Final = f"systemctl kill --signal=SIGCONT {SERVICE}\nrm -f {_PAUSED}"


def inject(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Stop every process of the service where it stands."""
    if node not in fault.nodes:
        return []
    return [shell(f"systemctl kill --signal=SIGSTOP {SERVICE}", ahead=f"mkdir -p {STATE}\n: > {_PAUSED}")]


def heal(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Let them go on."""
    return [shell(f"if [ -e {_PAUSED} ]; then\n{_CONTINUE}\nfi")] if node in fault.nodes else []


def doubts(fault: Fault, before: Sights, during: Sights, _: Around) -> Iterator[str]:
    """Yield the nodes whose runtime is not stopped."""
    yield from process.not_there_before(fault, before)
    for node in fault.nodes:
        state = (process.runtime(during, node) or {}).get("state")
        if state != "T":
            yield f"{node}'s RabbitMQ is in state {state}, not stopped"


def leftovers(fault: Fault, _: Sights, after: Sights, __: Around) -> Iterator[str]:
    """Yield the nodes whose runtime is still stopped."""
    for node in fault.nodes:
        if (process.runtime(after, node) or {"state": "T"})["state"] == "T":
            yield f"{node}'s RabbitMQ is still stopped"


SWEEP: Final = f"""if [ -e {_PAUSED} ]; then
{_CONTINUE}
echo "continued {SERVICE}, which was paused"
fi"""

KIND = Kind(inject, heal, process.looks, doubts, leftovers, sweep=SWEEP, settles_s=3.0)
