"""Service loss: the power loss of hosts that jepsenvm cannot switch.

RabbitMQ is killed, and the file system of its data is shut down with what was not synced. Healing
mounts it again and starts RabbitMQ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from jepsenvm.machines.action import STATE_DIR, Action, shell
from jepsenvm.nemesis import process_evidence, sentinel_evidence
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Hosts
from jepsenvm.nemesis.node_fault import NodeFault
from jepsenvm.nemesis.request import NemesisSpec
from jepsenvm.rabbitmq.names import DATA_DIR, SERVICE

_MARKER: Final = f"{STATE_DIR}/power-loss"
"""The file with the command that mounts the file system again. The node writes it."""

_DROP_IN_DIR: Final = f"/run/systemd/system/{SERVICE}.service.d"
_DROP_IN: Final = f"{_DROP_IN_DIR}/jepsenvm-power-loss.conf"
"""A systemd drop-in that disables the service's automatic restart."""

_KEEP_STOPPED: Final = f"""mkdir -p {_DROP_IN_DIR}
printf '[Service]\\nRestart=no\\n' > {_DROP_IN}
systemctl daemon-reload"""

_HEAL: Final = f"""if [ -e {_MARKER} ]; then
systemctl kill --signal=SIGKILL {SERVICE} 2>/dev/null || true
for attempt in $(seq 100); do
  mountpoint --quiet {DATA_DIR} || break
  umount {DATA_DIR} 2>/dev/null || sleep 0.2
done
if mountpoint --quiet {DATA_DIR}; then
  echo "{DATA_DIR} cannot be unmounted; see who uses it with fuser -vm {DATA_DIR}" >&2
  exit 1
fi
. {_MARKER}
if ! mountpoint --quiet {DATA_DIR}; then
  echo '{DATA_DIR} is not mounted; mount it, and run `jepsenvm heal`' >&2
  exit 1
fi
if ! touch {DATA_DIR}/jepsenvm-synced 2>/dev/null; then
  echo "{DATA_DIR} is still mounted in another namespace, and shut down; reboot the host" >&2
  exit 1
fi
rm -f {_DROP_IN}
systemctl daemon-reload
systemctl reset-failed {SERVICE} 2>/dev/null || true
systemctl start --no-block {SERVICE}
rm -f {_MARKER}%s
fi
if [ -e {_DROP_IN} ]; then
rm -f {_DROP_IN}
systemctl daemon-reload
fi"""
"""Mounts the file system again and starts RabbitMQ.

RabbitMQ never starts without its file system: it would form an empty database below it. ``touch``
fails if the file system is still mounted somewhere, because it is still shut down then. The drop-in
alone is what a node has left that could not write the marker.
"""


class ServiceLoss(NodeFault):
    """Kill RabbitMQ, and let it lose the writes that were not synced. ``PowerLoss`` draws it."""

    kind = "service-loss"
    stops_load = "on-all-nodes"
    stops_replicas = True
    endangers_s = sentinel_evidence.ENDANGERS_S
    on_each_node = True
    disturbs_broker = True
    heals_s = 60.0
    sweep = _HEAL % f'\necho "mounted {DATA_DIR} again, and started {SERVICE}"'

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return no nemeses: the nemesis ``power-loss`` stands for it."""
        return {}

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Disable the automatic restart; then write the sentinels and lose what is not synced."""
        return [
            shell("true", ahead=_KEEP_STOPPED),
            Action((fault_id, _MARKER), program=sentinel_evidence.PROGRAM),
        ]

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Mount the file system again and start RabbitMQ."""
        return [shell(_HEAL % "")]

    def probes(self) -> tuple[str, ...]:
        """Return the probes of the process table and of the sentinels."""
        return (*process_evidence.PROBES, sentinel_evidence.PROBE)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which RabbitMQ runs."""
        yield from process_evidence.not_running_before(self.nodes, before)
        yield from sentinel_evidence.not_read_before(self.nodes, before)
        yield from process_evidence.probe_failures(self.nodes, during)
        yield from process_evidence.still_running(self.nodes, during)

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which RabbitMQ does not run, or that did not lose what it had to."""
        yield from process_evidence.not_running_again(self.nodes, after)
        yield from sentinel_evidence.not_lost(self.nodes, before, after)

    def requirements(self) -> tuple[str, ...]:
        """Return a file system that can lose what is not synced, and can be mounted again."""
        return ("data-file-system", "data-mount")
