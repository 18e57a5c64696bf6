"""File-corrupt: one bit of a queue's data is flipped on one node, or the file is truncated.

The node stops before and starts after it, so that RabbitMQ reads the corrupted file. A corruption
cannot be undone: RabbitMQ may have rewritten the file. It is healed when RabbitMQ serves clients
again. If it fails to start with the corrupted file, healing puts the original back.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Self

from jepsenvm.errors import RunError
from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import process_evidence
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import UNMEASURED, Evidence, Hosts, settings_text
from jepsenvm.nemesis.grudge import shuffled
from jepsenvm.nemesis.process_fault import ProcessFault
from jepsenvm.nemesis.request import FaultRequest, NemesisSpec, Stage, whole
from jepsenvm.rabbitmq.names import CORRUPTED_DIR, DATABASE_DIR, SERVICE

_AT: Final = "at-percent"

_STARTS_S: Final = 90
"""Seconds that the service may take to start or to fail; the healing is repeated after that."""

_HEAL: Final = f"""kept={CORRUPTED_DIR}
put_back() {{ cat $kept/original > "$(cat $kept/path)"; }}
if [ -e $kept ]; then
  if [ -e $kept/path ] && [ ! -e $kept/corrupted.sha256 ]; then
    put_back
  fi
  systemctl start --no-block {SERVICE}
  for attempt in $(seq {_STARTS_S}); do
    state=$(systemctl show --property=SubState --value {SERVICE})
    case $state in
      running|failed|auto-restart*) break ;;
    esac
    sleep 1
  done
  case $state in
    running) ;;
    failed|auto-restart*)
      timeout 30 systemctl stop {SERVICE} || systemctl kill --signal=SIGKILL {SERVICE} || true
      if sha256sum --status --check $kept/corrupted.sha256 2>/dev/null; then
        put_back
      fi
      systemctl reset-failed {SERVICE} 2>/dev/null || true
      systemctl start --no-block {SERVICE}
      ;;
    *)
      echo "{SERVICE} neither started nor failed within {_STARTS_S} s" >&2
      exit 1
      ;;
  esac
  rm -rf $kept
"""
"""Start the service, with the original if it fails to start with the corrupted file.

A file that RabbitMQ has rewritten is left. If the digest of the corrupted file is missing, the
injection was killed before RabbitMQ could read the file.
"""


class FileCorrupt(ProcessFault):
    """Corrupt a file of the run's queue.

    It is in no mix: the loss of what only that node had is expected, and a mix tests promises that
    RabbitMQ makes.
    """

    kind = "file-corrupt"
    stops_load = "never"
    lasting = False
    settles_s = 30.0
    heals_s = 180.0
    sweep = f'{_HEAL}  echo "started {SERVICE}, of which a file was corrupted"\nfi'

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemeses that flip a bit and truncate a file."""
        return {
            "file-corrupt": NemesisSpec(
                about="stops RabbitMQ, flips one bit in a file of the queue, `at-percent` of its"
                " data, and starts RabbitMQ again",
                draw=partial(cls.on_replica, way="flip"),
                takes="nodes",
                settings={_AT: 50},
                bounds={_AT: (1, 99)},
            ),
            "file-truncate": NemesisSpec(
                about="stops RabbitMQ, truncates a file of the queue to `at-percent` of its data,"
                " and starts RabbitMQ again",
                draw=partial(cls.on_replica, way="truncate"),
                takes="nodes",
                settings={_AT: 50},
                bounds={_AT: (1, 99)},
            ),
        }

    @classmethod
    def on_replica(cls, request: FaultRequest, way: str) -> tuple[Stage, ...]:
        """Draw the fault on the chosen nodes, or on one node with a replica of the run's queue."""
        chosen = tuple(sorted(request.victims))
        given = " ".join(chosen) or "a node with a replica at that moment"
        settings = {"way": way, "victims": "chosen" if chosen else "drawn", **request.settings}
        fault = cls(
            text=given + settings_text(settings),
            nodes=chosen or tuple(shuffled(request.nodes, request.random)),
            settings=settings,
            role="replica",
        )
        return whole(fault)

    def resolve(self, leader: str, replicas: Collection[str] = ()) -> Self:
        """Return the fault on the chosen nodes, or on the first node with a replica.

        A classic queue has no replicas but its leader. Raise RunError if a chosen node has none.
        """
        if self.role is None:
            return self
        holders = [node for node in self.nodes if node in (replicas or (leader,))]
        if self.settings["victims"] == "drawn":
            holders = holders[:1]
        elif len(holders) < len(self.nodes):
            without = " ".join(sorted(set(self.nodes) - set(holders)))
            raise RunError(
                f"{self.name}: {without} has no replica of the queue",
                remedy=f"choose from {' '.join(sorted(replicas or (leader,)))}",
            )
        text = " ".join(holders) + settings_text(self.settings)
        return replace(self, nodes=tuple(holders), text=text, role=None)

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Stop the service, corrupt the file, and start the service without waiting for it."""
        order = {
            "vhost": hosts[node].vhost,
            "queue": self.settings["queue"],
            "way": self.settings["way"],
            _AT: self.settings[_AT],
        }
        return [Action((json.dumps(order),), program="file_corrupt")]

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Start the service, with the original file if it does not start with the corrupted one."""
        return [shell(f"{_HEAL}fi")]

    def requirements(self) -> tuple[str, ...]:
        """Return a database in the place where the program of the fault looks for it."""
        return ("queue-files",)

    def probes(self) -> tuple[str, ...]:
        """Return the probes of the process table and of the records of corrupted files."""
        return (*super().probes(), "corruption")

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node without a changed file, or that still has the runtime from before."""
        yield from process_evidence.not_running_before(self.nodes, before)
        yield from process_evidence.probe_failures(self.nodes, during)
        for node in self.nodes:
            yield from _unless_uncorrupted(before, node, " before the fault")
            record = _record(during, node)
            if not isinstance(record, Mapping):
                yield f"a corrupted file on {node} was {UNMEASURED}"
            else:
                yield from self._verify_record(node, record)
            yield from process_evidence.not_restarted([node], before, during)

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that does not listen for AMQP, or keeps a copy of the original."""
        yield from process_evidence.not_listening(self.nodes, after)
        for node in self.nodes:
            yield from _unless_uncorrupted(after, node, "")

    def _verify_record(self, node: str, record: Mapping[str, Any]) -> Iterator[str]:
        """Yield each reason why the record of a node does not show a corrupted file."""
        path = str(record["path"])
        if not path.startswith(f"{DATABASE_DIR}/"):
            yield f"the corrupted file on {node} is none of RabbitMQ's: {path}"
        if record["sha256-before"] == record["sha256-after"]:
            yield f"{path} on {node} did not change"
        if record["byte-before"] == record["byte-after"]:
            yield f"{path} on {node} did not change at offset {record['offset']}"
        cut = record["size-after"] == record["offset"] < record["size-before"]
        if self.settings["way"] == "truncate" and not cut:
            yield f"{path} on {node} was not truncated"


def _record(evidence: Evidence, node: str) -> Any:
    """Return a node's record of a corrupted file; False for no such file, None for no answer."""
    answer = evidence["corruption"].get(node)
    return None if answer is None else answer["record"] or False


def _unless_uncorrupted(evidence: Evidence, node: str, when: str) -> Iterator[str]:
    if _record(evidence, node) is not False:
        yield f"{node} had a corrupted file on record, or did not answer{when}"
