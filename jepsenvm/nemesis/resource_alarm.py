"""The base class of faults that raise a resource alarm. An alarm blocks all publishers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence
from jepsenvm.nemesis.node_fault import NodeFault


class ResourceAlarm(NodeFault):
    """Raise a resource alarm. The alarms that the brokers report are the evidence."""

    resource: ClassVar[str]
    """The resource as RabbitMQ names it in an alarm."""

    def probes(self) -> tuple[str, ...]:
        """Return the probe of the brokers' alarms."""
        return ("alarms",)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node without the alarm, or with the alarm even before the fault."""
        for node in self.nodes:
            if self._raised(before, node) is not False:
                yield (f"{node} had a {self.resource} alarm, or did not answer, before the fault")
            if not self._raised(during, node):
                yield f"{node} reports no {self.resource} alarm"

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that still has the alarm."""
        for node in self.nodes:
            if self._raised(after, node) is not False:
                yield f"{node} still has a {self.resource} alarm, or does not answer"

    def _raised(self, evidence: Evidence, node: str) -> bool | None:
        """Return whether a node reports an alarm of its own; None if it did not answer."""
        alarms = evidence["alarms"].get(node)
        if alarms is None:
            return None
        return any(self.resource in alarm and node in alarm for alarm in alarms)
