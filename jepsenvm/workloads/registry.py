"""Every workload by the name that a plan gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jepsenvm.workloads import queue
from jepsenvm.workloads.workload import Workload

WORKLOADS: Final[Mapping[str, Workload]] = {"queue": queue.WORKLOAD}
