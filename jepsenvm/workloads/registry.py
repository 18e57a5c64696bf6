"""All workloads by name. A new workload is one file and one entry here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.workloads import dead_letter, lock, order, queue, redelivery, stream, topology
from jepsenvm.workloads.workload import Workload

_ALL: Final[tuple[Workload[WorkloadOptions], ...]] = (
    queue.WORKLOAD,
    dead_letter.WORKLOAD,
    order.WORKLOAD,
    lock.WORKLOAD,
    stream.WORKLOAD,
    redelivery.WORKLOAD,
    topology.WORKLOAD,
)

WORKLOADS: Final[Mapping[str, Workload[WorkloadOptions]]] = {
    workload.name: workload for workload in _ALL
}
