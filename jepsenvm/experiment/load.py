"""The load of a run: its clients, in this process or in load processes."""

from __future__ import annotations

from typing import Final, Protocol

from jepsenvm.experiment.tasks import run_all
from jepsenvm.history.recent_latencies import RecentLatencies
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.figures import Figures, taken
from jepsenvm.workloads.workload import Workload

FLUSH_EVERY_S: Final = 0.1
"""Seconds after which recorded ops leave their process."""


class Load(Protocol):
    """The load of a run. Its methods are called in this order."""

    async def prepare(self) -> None:
        """Get ready. Nothing is sent to the brokers yet. Raise RunError if that fails."""

    async def run(self) -> None:
        """Run all clients until ``context.stop`` is set or they finish."""

    async def end(self) -> None:
        """End everything of the load that still runs. Callable at any time."""

    async def settle(self) -> None:
        """Record what only the drain could show about the load."""

    def figures(self) -> Figures:
        """Return what the clients did since the last call; nothing if nobody watches the run."""


class OwnLoad:
    """A load in this process."""

    def __init__(
        self,
        workload: Workload[WorkloadOptions],
        context: Context,
        recent: RecentLatencies | None = None,
    ) -> None:
        """``recent`` are the latencies of the run's journal; None if nobody watches the run."""
        self._workload = workload
        self._context = context
        self._recent = recent

    async def prepare(self) -> None:
        """Do nothing: the clients need no preparation."""

    async def run(self) -> None:
        """Run all clients until ``context.stop`` is set or they finish."""
        await run_all(self._workload.load(self._context))

    async def end(self) -> None:
        """Do nothing: the clients are tasks, and end with ``run``."""

    async def settle(self) -> None:
        """Do nothing: this process has recorded everything."""

    def figures(self) -> Figures:
        """Return what the clients did since the last call; nothing if nobody watches the run."""
        return {} if self._recent is None else taken(self._context.clients, self._recent)
