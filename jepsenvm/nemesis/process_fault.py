"""The base class of faults of RabbitMQ's processes."""

from __future__ import annotations

from jepsenvm.nemesis import process_evidence
from jepsenvm.nemesis.node_fault import NodeFault


class ProcessFault(NodeFault):
    """Stop, freeze or restart RabbitMQ. The process table is the evidence."""

    disturbs_broker = True

    def probes(self) -> tuple[str, ...]:
        """Return the probe of the process table."""
        return process_evidence.PROBES
