"""Executes the runs of a campaign, one at a time on each cluster, and records each outcome."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from jepsenvm.campaign.estimate import Estimate, estimate
from jepsenvm.campaign.folder import Folder, StoreError
from jepsenvm.campaign.launcher import Stop
from jepsenvm.campaign.order import Waiting, next_run
from jepsenvm.campaign.planned import Cluster, PlannedRun
from jepsenvm.campaign.preparation import Condition, Deployment, can_have
from jepsenvm.campaign.record import Attempt, Record
from jepsenvm.campaign.runner import Ended, MachinesLostError, Runner, StoppedError
from jepsenvm.campaign.spec import Machines, VersionSource
from jepsenvm.errors import RunError

PREPARATION_LOG = "preparation-{}.log"
GIVEN_BACK_POLL_S = 1.0
"""Seconds after which a worker without a run looks again. A request to stop notifies nobody."""


class Progress(Protocol):
    """Shows the progress of a campaign. Any thread may call it."""

    def began(self, run: PlannedRun, machines: Machines) -> None:
        """Show that a run begins."""

    def ended(self, run: PlannedRun, record: Record, remaining: float) -> None:
        """Show how a run ended, and the seconds that the others will take."""

    def note(self, line: str) -> None:
        """Show something else that users want to know."""


@dataclass
class Worker:
    """The machines on which runs take place one after the other."""

    machines: Machines
    number: int
    deployment: Deployment = field(default_factory=Deployment)
    impossible: set[Cluster] = field(default_factory=set)
    """Clusters that could not be deployed on these machines."""
    lost: bool = False
    """Whether the machines cannot be used any more."""


@dataclass(frozen=True)
class Limits:
    """How long and how often runs are tried."""

    retries: int = 1
    deadline: float | None = None
    """When the budget ends, on the clock of the controller."""


class Controller:
    """The runs of a campaign that are not done, and the workers that take them."""

    def __init__(
        self,
        folder: Folder,
        runs: Sequence[PlannedRun],
        sources: Mapping[str, VersionSource],
        runner: Runner,
        progress: Progress,
        *,
        limits: Limits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._runs, self._sources = folder, runs, sources
        self._runner, self._progress, self._limits = runner, progress, limits
        self._clock = clock
        self._lock = threading.Lock()
        self._given_back = threading.Condition(self._lock)
        self._records = dict(folder.records(runs))
        self._taken: set[str] = set()
        self._clusters: dict[int, Cluster] = {}
        self._refused_once: set[str] = set()
        self.stop = Stop()
        self.stopped_by_budget = False
        """Whether a run did not begin because it would not have ended in time."""

    @property
    def records(self) -> Mapping[str, Record]:
        """The record of each run, by its id."""
        return self._records

    def recover(self) -> set[str]:
        """Mark the runs that were in progress when the campaign was killed; return their machines.

        Nothing of them counts. They are repeated.
        """
        machines: set[str] = set()
        for run_id, record in self._records.items():
            if record.in_progress:
                machines |= {attempt.machines for attempt in record.in_progress}
                self._save(run_id, record.without_progress(self._clock()))
        return machines

    def workers(self, machines: Sequence[Machines], dirty: set[str]) -> list[Worker]:
        """Return a worker for each cluster; ``dirty`` names those on which a run was killed."""
        return [
            Worker(
                one,
                number,
                Deployment(
                    inventory=one.inventory,
                    condition=Condition.DIRTY if one.name in dirty else Condition.ABSENT,
                ),
            )
            for number, one in enumerate(machines, start=1)
        ]

    def execute(self, workers: Sequence[Worker]) -> None:
        """Execute all runs that can be executed. Raises what stopped the campaign.

        SIGINT or SIGTERM ends the runs in progress, which heal. A second one skips their drains.
        """
        with ThreadPoolExecutor(max(1, len(workers)), thread_name_prefix="cluster") as pool:
            try:
                futures = [pool.submit(self._work, worker) for worker in workers]
                interrupted = self._wait(futures)
            except BaseException:  # a signal before the wait: the runs end as after any other
                self.stop.request()
                raise
        for future in futures:
            future.result()
        if interrupted:
            raise KeyboardInterrupt

    def _wait(self, futures: Sequence[Future[None]]) -> bool:
        """Wait for the workers; return whether the campaign was interrupted."""
        interrupted = False
        # Not Thread.join: after an interrupted one, Python 3.11 takes a running thread as ended.
        while any(not future.done() for future in futures):
            try:
                wait(futures)
            except KeyboardInterrupt:
                interrupted = True
                self.stop.request()
                self._progress.note(
                    "interrupted: the runs in progress heal, then the campaign ends"
                )
        return interrupted

    def _work(self, worker: Worker) -> None:
        try:
            while self.step(worker) or self._may_get_more(worker):
                pass
        except BaseException:
            self.stop.request()
            raise

    def step(self, worker: Worker) -> bool:
        """Execute the next run of a worker; return False if there is none for it."""
        self._folder.require_room()
        run = self._take(worker)
        if run is None:
            return False
        try:
            self._attempt(run, worker)
        except StoppedError:
            return False
        except MachinesLostError as error:
            worker.lost = True
            self._progress.note(f"{error}: another worker repeats {run.id}")
            return False
        finally:
            with self._given_back:
                self._taken.discard(run.id)
                self._given_back.notify_all()
        return not self.stop

    def _may_get_more(self, worker: Worker) -> bool:
        """Wait until another worker ends a run; return whether this one may then get one.

        The other worker may be lost, and its run is then given back.
        """
        with self._given_back:
            if worker.lost or self.stop or not self._taken:
                return False
            self._given_back.wait(GIVEN_BACK_POLL_S)
            return True

    def remaining(self, workers: int) -> float:
        """Return the seconds that the runs will take that are not done."""
        left = [run for run in self._runs if not self._is_done(run)]
        return self._estimate().of_runs(left, workers)

    def _take(self, worker: Worker) -> PlannedRun | None:
        with self._lock:
            if self.stop:
                return None
            waiting = [
                Waiting(run, len(self._records[run.id].counted))
                for run in self._runs
                if run.id not in self._taken and not self._is_done(run)
            ]
            possible = [one for one in waiting if self._possible(one.run, worker)]
            in_time = [one for one in possible if self._in_time(one.run, worker)]
            self.stopped_by_budget |= len(in_time) < len(possible)
            elsewhere = {
                cluster for number, cluster in self._clusters.items() if number != worker.number
            }
            run = next_run(in_time, worker.deployment.cluster, elsewhere)
            if run is not None:
                self._taken.add(run.id)
                self._clusters[worker.number] = run.cluster
            return run

    def _possible(self, run: PlannedRun, worker: Worker) -> bool:
        if run.cluster in worker.impossible:
            return False
        return can_have(worker.machines, run.cluster, self._sources)

    def _in_time(self, run: PlannedRun, worker: Worker) -> bool:
        if self._limits.deadline is None:
            return True
        deployed = worker.deployment.serves(run.cluster)
        takes = self._estimate().of_run(run, deployed=deployed)
        return self._clock() + takes <= self._limits.deadline

    def _estimate(self) -> Estimate:
        return estimate(self._runs, self._records)

    def _is_done(self, run: PlannedRun) -> bool:
        return self._records[run.id].is_done(self._limits.retries)

    def _attempt(self, run: PlannedRun, worker: Worker) -> None:
        record = self._records[run.id]
        if not self._prepare(run, worker):
            return
        began = Attempt(machines=worker.machines.name, began=self._clock())
        self._save(run.id, record.begun(began))
        folder = self._folder.attempt(run.id, len(record.attempts) + 1)
        self._progress.began(run, worker.machines)
        try:
            ended = self._runner.run(run, worker.machines, worker.deployment, folder, self.stop)
        except MachinesLostError as error:
            self._end(run, began, Ended("interrupted", error=str(error)))
            raise
        if ended.ending in ("refused", "failed"):
            self._require_room_after(run, began)
        ended = self._repeat_once(run, worker, ended)
        self._end(run, began, ended)
        if run.permanent:
            worker.deployment = replace(worker.deployment, condition=Condition.CHANGED)
        elif ended.broke_its_cluster:
            worker.deployment = replace(worker.deployment, condition=Condition.DIRTY)
        with self._lock:
            workers = max(1, len(self._clusters))
        self._progress.ended(run, self._records[run.id], self.remaining(workers))

    def _prepare(self, run: PlannedRun, worker: Worker) -> bool:
        """Deploy the cluster of a run; return whether that succeeded."""
        if worker.deployment.serves(run.cluster):
            return True
        log = self._folder.path / PREPARATION_LOG.format(worker.number)
        self._progress.note(f"{worker.machines.name}: deploying {run.cluster.key}")
        began = Attempt(machines=worker.machines.name, began=self._clock())
        # What a process leaves that is killed here is not known.
        before, worker.deployment = (
            worker.deployment,
            replace(worker.deployment, condition=Condition.DIRTY),
        )
        try:
            worker.deployment = self._runner.prepare(
                worker.machines, run.cluster, before, log, self.stop
            )
        except RunError as error:
            with suppress(StoreError):
                self._folder.require_room()
            worker.impossible.add(run.cluster)
            worker.deployment = replace(worker.deployment, cluster=None)
            ended = Ended("unprepared", error=f"the cluster could not be deployed: {error}")
            self._save(run.id, self._records[run.id].begun(began))
            self._end(run, began, ended)
            self._progress.note(f"{worker.machines.name}: {ended.error}")
            return False
        return True

    def _repeat_once(self, run: PlannedRun, worker: Worker, ended: Ended) -> Ended:
        """Return how a run ended; a refused one is repeated once on a cluster that is repaired.

        The run before may have left the cluster degraded.
        """
        if ended.ending != "refused" or run.id in self._refused_once or self.stop:
            return ended
        self._refused_once.add(run.id)
        worker.deployment = replace(worker.deployment, condition=Condition.DOUBTFUL)
        return replace(ended, ending="interrupted", error=f"refused: {ended.error}")

    def _require_room_after(self, run: PlannedRun, began: Attempt) -> None:
        """Raise StoreError if a run failed because the disk is full; it then does not count."""
        try:
            self._folder.require_room()
        except StoreError:
            with suppress(StoreError):
                self._end(run, began, Ended("interrupted", error="the disk is full"))
            raise

    def _end(self, run: PlannedRun, began: Attempt, ended: Ended) -> None:
        folder = ""
        if ended.folder is not None:
            folder = str(ended.folder.relative_to(self._folder.path))
        attempt = replace(
            began,
            ended=self._clock(),
            ending=ended.ending,
            outcome=ended.outcome if ended.ending == "verdict" else None,
            folder=folder,
            version=ended.version,
            error=ended.error,
        )
        self._save(run.id, self._records[run.id].ended(attempt))

    def _save(self, run_id: str, record: Record) -> None:
        """Write a record, then know it. What is not on disk did not happen."""
        self._folder.save(run_id, record)
        with self._lock:
            self._records[run_id] = record
