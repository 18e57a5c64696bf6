"""Campaigns, records and a runner that neither deploys nor runs anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jepsenvm.campaign.controller import Controller, Limits
from jepsenvm.campaign.folder import Folder
from jepsenvm.campaign.launcher import Stop
from jepsenvm.campaign.matrix import expand
from jepsenvm.campaign.planned import Cluster, Expansion, PlannedRun
from jepsenvm.campaign.preparation import Condition, Deployment
from jepsenvm.campaign.reading import PlanRules
from jepsenvm.campaign.record import Attempt, Ending, Record
from jepsenvm.campaign.runner import Ended
from jepsenvm.campaign.spec import CampaignFile, Machines, parse
from jepsenvm.checkers.outcome import Outcome
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.errors import RunError

VALID: Final = Outcome(Verdict.VALID, acknowledged=1000, lost=0, recovery_seconds=4.0)
INVALID: Final = Outcome(
    Verdict.INVALID,
    ("total-queue: lost",),
    acknowledged=1000,
    lost=10,
    recovery_seconds=9.0,
    restarted=("n3",),
    reasons=("10 messages were lost",),
)
UNKNOWN: Final = Outcome(Verdict.UNKNOWN, reasons=("fault 1 is not proven",))

TWO_VERSIONS: Final = {
    "version": ["3.10.8", "4.3.6"],
    "queue-type": ["quorum", "classic"],
}


def campaign(matrix: Mapping[str, Any] | None = None, **keys: Any) -> CampaignFile:
    """Return a campaign; underscores in keys stand for hyphens."""
    given = {key.replace("_", "-"): value for key, value in keys.items()}
    content = {"name": "c", **given}
    if matrix is not None:
        content["matrix"] = matrix
    return parse(content, "c.yml")


def expansion(matrix: Mapping[str, Any] | None = None, **keys: Any) -> Expansion:
    return expand(campaign(matrix, **keys), "c.yml", PlanRules())


def attempt(outcome: Outcome | None = VALID, ending: Ending = "verdict", **keys: Any) -> Attempt:
    return Attempt(
        "lab default", 100.0, **{"ended": 250.0, "ending": ending, "outcome": outcome, **keys}
    )


def record(*outcomes: Outcome) -> Record:
    return Record(tuple(attempt(outcome) for outcome in outcomes))


@dataclass
class FakeRunner:
    """Answers each run by its number among all runs, or by its settings."""

    answer: Callable[[PlannedRun, int], Ended] = lambda _run, _number: Ended("verdict", VALID)
    breaks: Callable[[Cluster], bool] = lambda _cluster: False
    prepared: list[tuple[str, Cluster, Condition]] = field(default_factory=list)
    ran: list[tuple[str, str]] = field(default_factory=list)

    def prepare(
        self, machines: Machines, cluster: Cluster, now: Deployment, log: Path, stop: Stop
    ) -> Deployment:
        self.prepared.append((machines.name, cluster, now.condition))
        if self.breaks(cluster):
            raise RunError("`jepsenvm deploy` exited 255: no host answers")
        return Deployment(cluster, "inventory.yml", Condition.READY)

    def run(
        self, run: PlannedRun, machines: Machines, on: Deployment, attempt: Path, stop: Stop
    ) -> Ended:
        assert on.cluster == run.cluster
        self.ran.append((run.id, machines.name))
        return self.answer(run, len(self.ran))


@dataclass
class Notes:
    """Stands for the progress on the terminal."""

    lines: list[str] = field(default_factory=list)

    def began(self, run: PlannedRun, machines: Machines) -> None:
        self.lines.append(f"began {run.id}")

    def ended(self, run: PlannedRun, record: Record, remaining: float) -> None:
        assert remaining >= 0
        self.lines.append(f"ended {run.id}")

    def note(self, line: str) -> None:
        self.lines.append(line)


@dataclass
class Clock:
    """Advances by some seconds whenever it is read."""

    step: float = 0.0
    now: float = 1000.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def controller(
    folder: Folder,
    runs: Sequence[PlannedRun],
    runner: FakeRunner,
    *,
    limits: Limits | None = None,
    clock: Callable[[], float] | None = None,
) -> Controller:
    return Controller(
        folder, runs, {}, runner, Notes(), limits=limits or Limits(), clock=clock or Clock(1.0)
    )


def begun(path: Path, of: Expansion) -> Folder:
    """Return the folder of a campaign that has begun."""
    folder = Folder(path)
    folder.begin("c", of)
    return folder


def execute(
    control: Controller,
    machines: Sequence[Machines] = (Machines(lab="default"),),
    dirty: set[str] | None = None,
) -> None:
    """Execute all runs in this thread."""
    workers = control.workers(machines, dirty or set())
    going = True
    while going:
        stepped = [control.step(worker) for worker in workers]
        going = any(stepped)
