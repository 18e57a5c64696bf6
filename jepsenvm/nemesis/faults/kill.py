"""Kill: SIGKILL of RabbitMQ's runtime, and no restart by its service until it is healed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import process
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Hosts, Kind
from jepsenvm.rabbitmq.names import SERVICE

_FOLDER: Final = f"/run/systemd/system/{SERVICE}.service.d"
_HELD: Final = f"{_FOLDER}/jepsenvm-kill.conf"

_RELEASE: Final = f"""rm -f {_HELD}
systemctl daemon-reload
systemctl reset-failed {SERVICE} 2>/dev/null || true
systemctl start --no-block {SERVICE}"""


def inject(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Kill every process of the service."""
    if node not in fault.nodes:
        return []
    hold = (
        f"mkdir -p {_FOLDER}\nprintf '[Service]\\nRestart=no\\n' > {_HELD}\nsystemctl daemon-reload"
    )
    return [shell(f"systemctl kill --signal=SIGKILL {SERVICE}", ahead=hold)]


def heal(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Start the service, and let it restart by itself again."""
    return [shell(f"if [ -e {_HELD} ]; then\n{_RELEASE}\nfi")] if node in fault.nodes else []


def doubts(fault: Fault, before: Evidence, during: Evidence, _: ConcurrentFaults) -> Iterator[str]:
    """Yield the nodes on which a runtime is alive."""
    yield from process.not_there_before(fault, before)
    yield from process.not_looked_at(fault, during)
    yield from (
        f"{node}'s RabbitMQ is alive" for node in fault.nodes if process.runtime(during, node)
    )


def leftovers(fault: Fault, _: Evidence, after: Evidence, __: ConcurrentFaults) -> Iterator[str]:
    """Yield the nodes on which no runtime has started again."""
    yield from (
        f"{node}'s RabbitMQ is not alive"
        for node in fault.nodes
        if not process.runtime(after, node)
    )


SWEEP: Final = f"""if [ -e {_HELD} ]; then
{_RELEASE}
echo "started {SERVICE}, which was killed"
fi"""

KIND = Kind(inject, heal, process.looks, doubts, leftovers, sweep=SWEEP)
