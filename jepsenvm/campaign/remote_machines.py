"""The machines of one worker process, on which it runs experiments for a controller elsewhere.

The controller submits ``prepare`` and ``execute`` to the worker. The functions know the machines,
because the worker has been started for them. A history that was recorded here is sent back.
"""

from __future__ import annotations

import io
import logging
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jepsenvm.campaign.folder import Folder, StoreError
from jepsenvm.campaign.launcher import Stop, end_left_processes
from jepsenvm.campaign.planned import Cluster, PlannedRun
from jepsenvm.campaign.preparation import Condition, Deployment
from jepsenvm.campaign.runner import Ended, Runner, StoppedError
from jepsenvm.campaign.spec import Machines, VersionSource
from jepsenvm.errors import RunError

logger = logging.getLogger(__name__)

PREPARATION_LOG = "preparation.log"

Sources = Mapping[str, VersionSource]
NewRunner = Callable[[Folder, Sources], Runner]
"""Makes the runner of a campaign from its folder and the sources of its versions."""


@dataclass(frozen=True)
class Prepared:
    """What became of the machines."""

    deployment: Deployment
    error: str | None = None
    """Why they could not be prepared; None if they are."""
    stopped: bool = False


@dataclass(frozen=True)
class Executed:
    """How a run ended, with the files that it stored."""

    ended: Ended
    """``folder`` is relative to the folder of the campaign."""
    archive: bytes = b""
    """The folder of the attempt and its log, as a tar archive."""
    unusable: str | None = None
    """Why the worker can run nothing, such as a full disk; None if it can."""


class WorkerMachines(Machines):
    """The machines of a worker. Two hosts may each have a lab of the same name."""

    host: str

    @property
    def name(self) -> str:
        """The lab or the inventory, and the host of the worker."""
        return f"{super().name} of {self.host}"


class RemoteMachines:
    """The machines of this process, and the folder in which their runs are stored."""

    def __init__(self, machines: WorkerMachines, parent: Path, runner: NewRunner) -> None:
        """``parent`` gets a folder for each campaign. ``runner`` returns the runner for one."""
        self.machines = machines
        self._parent, self._runner = parent, runner
        self.stop = Stop()
        """Ends the runs of this process. It is renewed for each campaign by ``begin``."""

    def begin(self, campaign: str) -> WorkerMachines:
        """End the runs that another controller left here; return the machines.

        Earlier requests to stop are forgotten.
        """
        self.stop = Stop()
        end_left_processes(self._folder(campaign).path, logger.info)
        return self.machines

    def prepare(
        self, campaign: str, sources: Sources, cluster: Cluster, now: Deployment
    ) -> Prepared:
        """Give the machines a cluster."""
        folder = self._folder(campaign)
        runner, log = self._runner(folder, sources), folder.path / PREPARATION_LOG
        try:
            return Prepared(runner.prepare(self.machines, cluster, now, log, self.stop))
        except StoppedError:
            return Prepared(now, stopped=True)
        except RunError as error:
            return Prepared(replace(now, condition=Condition.DIRTY), error=str(error))

    def execute(
        self, campaign: str, sources: Sources, run: PlannedRun, on: Deployment, number: int
    ) -> Executed:
        """Execute an attempt of a run on the machines."""
        folder = self._folder(campaign)
        try:
            folder.require_room()
            folder.write_plan(run)
        except StoreError as error:
            return Executed(Ended("interrupted", error=str(error)), unusable=str(error))
        attempt = folder.attempt(run.id, number)
        ended = self._runner(folder, sources).run(run, self.machines, on, attempt, self.stop)
        if ended.folder is not None:
            ended = replace(ended, folder=ended.folder.relative_to(folder.path))
        return Executed(ended, archive_of(folder.path, attempt))

    def _folder(self, campaign: str) -> Folder:
        path = self._parent / campaign
        path.mkdir(parents=True, exist_ok=True)
        return Folder(path)


def archive_of(campaign: Path, attempt: Path) -> bytes:
    """Return the folder of an attempt and its log as a tar archive, relative to the campaign's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for path in (attempt, attempt.with_suffix(".log")):
            if path.exists():
                archive.add(path, path.relative_to(campaign))
    return buffer.getvalue()


def unpack(archive: bytes, campaign: Path) -> None:
    """Write the files of an archive to the folder of a campaign, and nothing outside of it."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        opened.extractall(campaign, filter="data")


_own: RemoteMachines | None = None


def serve(machines: WorkerMachines, parent: Path, runner: NewRunner) -> None:
    """Make this process the worker of some machines."""
    global _own  # noqa: PLW0603 - a submitted function reaches the machines of its process by it
    _own = RemoteMachines(machines, parent, runner)


def own() -> RemoteMachines:
    """Return the machines of this process; raise RunError if it is no worker of jepsenvm."""
    if _own is None:
        raise RunError("this worker was not started by `jepsenvm campaign worker`")
    return _own


def begin(campaign: str) -> WorkerMachines:
    """Return the machines of this process, which have no run of the campaign any more."""
    return own().begin(campaign)


def prepare(campaign: str, sources: Sources, cluster: Cluster, now: Deployment) -> Prepared:
    """Give the machines of this process a cluster."""
    return own().prepare(campaign, sources, cluster, now)


def execute(
    campaign: str, sources: Sources, run: PlannedRun, on: Deployment, number: int
) -> Executed:
    """Execute an attempt of a run on the machines of this process."""
    return own().execute(campaign, sources, run, on, number)


def request_stop() -> None:
    """Ask the runs of this process to stop."""
    own().stop.request()
