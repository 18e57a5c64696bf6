"""Every workload by the name that a plan gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jepsenvm.workloads import dead_letter, lock, order, queue, redelivery, stream
from jepsenvm.workloads.workload import Workload

WORKLOADS: Final[Mapping[str, Workload]] = {
    "queue": queue.WORKLOAD,
    "dead-letter": dead_letter.WORKLOAD,
    "order": order.WORKLOAD,
    "lock": lock.WORKLOAD,
    "stream": stream.WORKLOAD,
    "redelivery": redelivery.WORKLOAD,
}
