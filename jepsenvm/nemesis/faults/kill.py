"""Kill: SIGKILL of RabbitMQ's processes. The service restarts only when the fault is healed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import process_evidence
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Hosts
from jepsenvm.nemesis.process_fault import ProcessFault
from jepsenvm.nemesis.request import NemesisSpec
from jepsenvm.rabbitmq.names import SERVICE

_DROP_IN_DIR: Final = f"/run/systemd/system/{SERVICE}.service.d"
_DROP_IN: Final = f"{_DROP_IN_DIR}/jepsenvm-kill.conf"
"""A systemd drop-in that disables the service's automatic restart."""

_START: Final = f"""rm -f {_DROP_IN}
systemctl daemon-reload
systemctl reset-failed {SERVICE} 2>/dev/null || true
systemctl start --no-block {SERVICE}"""


class Kill(ProcessFault):
    """Kill every process of RabbitMQ's service."""

    kind = "kill"
    stops_load = "on-all-nodes"
    stops_replicas = True
    sweep = f"""if [ -e {_DROP_IN} ]; then
{_START}
echo "started {SERVICE}, which was killed"
fi"""

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemeses that kill one node, chosen nodes or all nodes."""
        return {
            "kill": NemesisSpec(
                about="sends SIGKILL to RabbitMQ, which stays down until healed",
                draw=cls.on_victims,
                takes="nodes",
                mixes=("mixed", "processes"),
            ),
            "kill-all": NemesisSpec(
                about="sends SIGKILL to RabbitMQ on all nodes at once", draw=cls.on_all_nodes
            ),
        }

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Disable the automatic restart, then kill every process of the service."""
        prepare = (
            f"mkdir -p {_DROP_IN_DIR}\n"
            f"printf '[Service]\\nRestart=no\\n' > {_DROP_IN}\n"
            "systemctl daemon-reload"
        )
        return [shell(f"systemctl kill --signal=SIGKILL {SERVICE}", ahead=prepare)]

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Enable the automatic restart and start the service."""
        return [shell(f"if [ -e {_DROP_IN} ]; then\n{_START}\nfi")]

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which RabbitMQ runs."""
        yield from process_evidence.not_running_before(self.nodes, before)
        yield from process_evidence.probe_failures(self.nodes, during)
        yield from process_evidence.still_running(self.nodes, during)

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which RabbitMQ does not run again."""
        yield from process_evidence.not_running_again(self.nodes, after)
