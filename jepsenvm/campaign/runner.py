"""Deploys clusters and executes runs of a campaign, each by a command in a process of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from jepsenvm.campaign.folder import Folder
from jepsenvm.campaign.launcher import Stop, last_error, run_command
from jepsenvm.campaign.planned import Cluster, PlannedRun
from jepsenvm.campaign.preparation import INVENTORY, Condition, Deployment, Step, steps
from jepsenvm.campaign.record import Ending
from jepsenvm.campaign.spec import Machines, VersionSource
from jepsenvm.checkers.outcome import Outcome
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.errors import RunError, UsageError
from jepsenvm.experiment.stored_outcome import StoredOutcome, newest_run, stored_outcome

_INVENTORY_LINE: Final = re.compile(r"^inventory: (.+)$", re.MULTILINE)


class StoppedError(Exception):
    """A command ended because the campaign was asked to stop."""


class MachinesLostError(Exception):
    """Some machines cannot be used any more, because the process that owns them is gone."""


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    ending: Ending
    outcome: Outcome | None = None
    folder: Path | None = None
    version: str = ""
    error: str = ""

    @property
    def broke_its_cluster(self) -> bool:
        """Whether the next run needs another cluster: this one may have faults or dead queues."""
        unrecovered = self.outcome is not None and self.outcome.recovered is False
        return self.ending == "failed" or unrecovered


class Runner(Protocol):
    """Deploys clusters and executes runs. The tests have a fake runner."""

    def prepare(
        self, machines: Machines, cluster: Cluster, now: Deployment, log: Path, stop: Stop
    ) -> Deployment:
        """Give machines a cluster and return it; raise RunError if a command fails."""

    def run(
        self, run: PlannedRun, machines: Machines, on: Deployment, attempt: Path, stop: Stop
    ) -> Ended:
        """Execute a run whose store is the folder ``attempt``."""


class ProcessRunner:
    """Deploys clusters and executes runs with commands of jepsenvm."""

    def __init__(self, folder: Folder, sources: Mapping[str, VersionSource]) -> None:
        self._folder = folder
        self._sources = sources

    def prepare(
        self, machines: Machines, cluster: Cluster, now: Deployment, log: Path, stop: Stop
    ) -> Deployment:
        """Give machines a cluster and return it; raise RunError if a command fails."""
        inventory = machines.inventory or now.inventory
        for step in steps(machines, cluster, now, self._sources):
            inventory = self._execute(step, inventory, log, stop)
        return Deployment(cluster, inventory, Condition.READY)

    def run(
        self, run: PlannedRun, machines: Machines, on: Deployment, attempt: Path, stop: Stop
    ) -> Ended:
        """Execute a run whose store is the folder ``attempt``."""
        log = attempt.with_suffix(".log")
        words = [
            *("run", str(self._folder.plan_of(run.id)), "--store", str(attempt)),
            *("-i", str(on.inventory)),
            "--existing" if machines.existing else "--no-deploy",
        ]
        status = run_command(words, log, self._folder.path, stop)
        ended = _ended(status, run, attempt, last_error(log))
        # A run that was told to stop has a verdict about half of its load.
        return replace(ended, ending="interrupted") if stop else ended

    def _execute(self, step: Step, inventory: str | None, log: Path, stop: Stop) -> str | None:
        words = [str(inventory) if word == INVENTORY else word for word in step.words]
        before = log.stat().st_size if log.exists() else 0
        status = run_command(words, log, self._folder.path, stop)
        if stop:
            raise StoppedError
        if status != 0:
            raise RunError(
                f"`jepsenvm {' '.join(words)}` exited {status}: {last_error(log)}",
                remedy=f"see {log}",
            )
        if not step.inventory:
            return inventory
        with log.open("rb") as file:
            file.seek(before)
            lines = _INVENTORY_LINE.findall(file.read().decode(errors="replace"))
        return lines[-1] if lines else inventory


def _ended(status: int, run: PlannedRun, attempt: Path, error: str) -> Ended:
    """Return how a run ended, by its exit status and by what it stored."""
    folder = newest_run(attempt)
    if folder is None:
        ending: Ending = "refused" if status == UsageError.exit_status else "failed"
        return Ended(ending, error=error or f"the run exited {status}")
    stored = stored_outcome(folder, run.workload)
    if text := _other_cluster(stored, run.cluster):
        return Ended("refused", folder=folder, version=stored.version, error=text)
    if stored.outcome is None or status != stored.outcome.verdict.exit_status:
        text = error or "no results"
        if status in {verdict.exit_status for verdict in Verdict}:
            text = f"the run exited {status}, which its results do not confirm"
        return Ended("failed", folder=folder, version=stored.version, error=text)
    return Ended("verdict", stored.outcome, folder, stored.version)


def _other_cluster(stored: StoredOutcome, planned: Cluster) -> str | None:
    """Return why a run was not on the planned cluster; None if it was, or ended before."""
    if not stored.version:
        return None
    if planned.version is not None and not same_version(stored.version, planned.version):
        return f"the nodes run RabbitMQ {stored.version}, and the campaign says {planned.version}"
    if planned.nodes not in (None, stored.nodes):
        return f"the cluster has {stored.nodes} nodes, and the run needs {planned.nodes}"
    return None


def same_version(running: str, planned: str) -> bool:
    """Return whether nodes run the planned version: `4.1.5` for `4.1.5`, `4.1.5-1` and `4.1`."""
    upstream = planned.partition("-")[0]
    return running == upstream or running.startswith(f"{upstream}.")
