"""Estimates how long runs will take, from the attempts that have ended or from defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jepsenvm.campaign.planned import PlannedRun
from jepsenvm.campaign.record import Record

USUAL_OVERHEAD_S: Final = 60.0
"""Seconds of a run beside its load: checks of the hosts, recovery, drain and checkers."""

USUAL_DEPLOYMENT_S: Final = 100.0
"""Seconds until a lab with another version is up, and RabbitMQ deployed on it."""


@dataclass(frozen=True)
class Estimate:
    """The expected times of a campaign, in seconds."""

    overhead: float = USUAL_OVERHEAD_S
    deployment: float = USUAL_DEPLOYMENT_S

    def of_run(self, run: PlannedRun, *, deployed: bool) -> float:
        """Return the time of a run; ``deployed`` says whether its cluster exists already."""
        return run.seconds + self.overhead + (0 if deployed else self.deployment)

    def of_runs(self, runs: Sequence[PlannedRun], machines: int) -> float:
        """Return the time of runs that this number of clusters share."""
        clusters = {run.cluster for run in runs}
        load = sum(run.seconds + self.overhead for run in runs)
        together = max(1, min(machines, len(runs)))
        longest = max((run.seconds + self.overhead for run in runs), default=0.0)
        return max(longest, (load + len(clusters) * self.deployment) / together)


def estimate(runs: Iterable[PlannedRun], records: Mapping[str, Record]) -> Estimate:
    """Return the expected times, by the attempts that ended with a verdict."""
    overheads = [
        max(0.0, attempt.ended - attempt.began - run.seconds)
        for run in runs
        for attempt in records.get(run.id, Record()).attempts
        if attempt.ending == "verdict" and attempt.ended is not None
    ]
    if not overheads:
        return Estimate()
    return Estimate(overhead=sum(overheads) / len(overheads))


def duration_text(seconds: float) -> str:
    """Return a time as people say it: ``2 h 5 min``, ``12 min`` or ``40 s``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
