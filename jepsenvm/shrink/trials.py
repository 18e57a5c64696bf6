"""Tries subjects: runs each on a cluster and compares how it ends with the original run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from jepsenvm.campaign.cells import cluster_of, is_permanent
from jepsenvm.campaign.estimate import USUAL_OVERHEAD_S
from jepsenvm.campaign.folder import Folder
from jepsenvm.campaign.launcher import Stop
from jepsenvm.campaign.planned import Cluster, PlannedRun
from jepsenvm.campaign.preparation import Condition, Deployment, can_have
from jepsenvm.campaign.runner import Ended, Runner
from jepsenvm.campaign.spec import Machines
from jepsenvm.errors import RunError, UsageError
from jepsenvm.experiment.plan_file import resolve_plan
from jepsenvm.plan.plan import Plan
from jepsenvm.shrink.failure import fails_alike
from jepsenvm.shrink.original import OriginalRun
from jepsenvm.shrink.search import Answer
from jepsenvm.shrink.subject import Subject


@dataclass(frozen=True)
class Effort:
    """How long a search may take."""

    deadline: float
    """When it ends, on ``clock``."""
    tries: int = 1
    """How often a subject is run before it counts as passing."""
    clock: Callable[[], float] = time.monotonic


class Trials:
    """The trials of one search."""

    def __init__(
        self,
        original: OriginalRun,
        machines: Machines,
        folder: Folder,
        runner: Runner,
        report: Callable[[str], None],
        *,
        effort: Effort,
    ) -> None:
        self._original, self._machines, self._folder = original, machines, folder
        self._runner, self._report = runner, report
        self._effort = effort
        self._deployment = Deployment(inventory=machines.inventory)
        self._number = 0
        self.stop = Stop()

    @property
    def may_change_size(self) -> bool:
        """Whether the cluster can get fewer nodes: only a lab with a version that it has can."""
        version = self._original.version
        if self._machines.lab is None or not version:
            return False
        return can_have(self._machines, Cluster(version, None, 0), {})

    def __call__(self, subject: Subject) -> Answer:
        """Run a subject until it fails as the original did, or often enough."""
        plan = plan_of(subject)
        for _ in range(self._effort.tries):
            if self._effort.clock() + plan.time_limit + USUAL_OVERHEAD_S > self._effort.deadline:
                return Answer.NO_TIME
            ended = self._run(plan, subject)
            if fails_alike(ended.outcome, self._original.outcome):
                return Answer.FAILS
        return Answer.PASSES

    def _run(self, plan: Plan, subject: Subject) -> Ended:
        self._folder.require_room()
        self._number += 1
        name = f"trial-{self._number}"
        self._report(f"{name}: {subject.describe()}")
        run = self._planned(name, plan, subject)
        self._folder.write_plan(run)
        try:
            self._prepare(run.cluster)
        except RunError as error:
            self._deployment = replace(self._deployment, cluster=None, condition=Condition.DIRTY)
            self._report(f"{name}: {error}")
            return Ended("failed", error=str(error))
        ended = self._runner.run(
            run, self._machines, self._deployment, self._folder.attempt(name, 1), self.stop
        )
        if run.permanent:
            self._deployment = replace(self._deployment, condition=Condition.CHANGED)
        elif ended.ending != "verdict":
            condition = Condition.DOUBTFUL if ended.ending == "refused" else Condition.DIRTY
            self._deployment = replace(self._deployment, condition=condition)
        verdict = ended.outcome.verdict if ended.outcome else f"{ended.ending}: {ended.error}"
        self._report(f"{name}: {verdict} {', '.join(ended.outcome.kinds if ended.outcome else ())}")
        return ended

    def _planned(self, name: str, plan: Plan, subject: Subject) -> PlannedRun:
        version = self._original.version if self.may_change_size else None
        return PlannedRun(
            id=name,
            settings={},
            seed=plan.seed,
            repeat=1,
            expected="invalid",
            checkers=(),
            cluster=cluster_of(plan, version, subject.nodes),
            seconds=plan.time_limit,
            plan=plan.model_copy(update={"name": name}).to_yaml(),
            workload=plan.workload,
            permanent=is_permanent(plan),
        )

    def _prepare(self, cluster: Cluster) -> None:
        """Deploy the cluster of a trial; raise RunError if that fails."""
        log = self._folder.path / "preparation.log"
        self._deployment = self._runner.prepare(
            self._machines, cluster, self._deployment, log, self.stop
        )


def plan_of(subject: Subject) -> Plan:
    """Return the plan of a subject; raise UsageError if it is no valid one."""
    return resolve_plan(subject.plan, "the smaller plan")


def is_valid(subject: Subject) -> bool:
    """Return whether a subject is a valid plan."""
    try:
        plan_of(subject)
    except UsageError:
        return False
    return True


def text_of(plan: Mapping[str, object]) -> str:
    """Return a plan file."""
    return yaml.safe_dump(dict(plan), sort_keys=False)


def folder_of(run: Path, chosen: Path | None) -> Path:
    """Return the folder of the trials: the chosen one, or one beside the run."""
    resolved = run.resolve()
    return chosen or Path("shrunk") / f"{resolved.parent.name}-{resolved.name}"
