"""Runs experiments on the machines of Dask workers, each of which owns one cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from distributed import Client
from distributed.client import Future

from jepsenvm.campaign import remote_machines as remote
from jepsenvm.campaign.folder import Folder
from jepsenvm.campaign.launcher import Stop
from jepsenvm.campaign.planned import Cluster, PlannedRun
from jepsenvm.campaign.preparation import Deployment
from jepsenvm.campaign.remote_machines import WorkerMachines
from jepsenvm.campaign.runner import Ended, MachinesLostError, StoppedError
from jepsenvm.campaign.spec import Machines, VersionSource
from jepsenvm.errors import RunError, UsageError, shorten

POLL_S: Final = 0.5
"""Seconds between two looks at a run: whether it ended, and whether its worker is still there."""

CONNECT_S: Final = 30.0

_Answer = TypeVar("_Answer")


class DaskRunner:
    """Gives each command to the worker of its machines, and fetches what it stored."""

    def __init__(
        self,
        client: Client,
        addresses: Mapping[str, str],
        campaign: str,
        folder: Folder,
        sources: Mapping[str, VersionSource],
    ) -> None:
        """``addresses`` are those of the workers, by the names of their machines."""
        self._client, self._addresses, self._folder = client, addresses, folder
        self._campaign, self._sources = campaign, sources

    def prepare(
        self, machines: Machines, cluster: Cluster, now: Deployment, _log: Path, stop: Stop
    ) -> Deployment:
        """Give machines a cluster and return it; raise RunError if a command fails."""
        done = self._answer(
            machines, stop, remote.prepare, self._campaign, self._sources, cluster, now
        )
        if done.stopped:
            self._require_stop(stop, machines)
            raise StoppedError
        if done.error is not None:
            raise RunError(f"on the worker of {machines.name}: {done.error}")
        return done.deployment

    def run(
        self, run: PlannedRun, machines: Machines, on: Deployment, attempt: Path, stop: Stop
    ) -> Ended:
        """Execute a run, and store its files in the folder ``attempt``."""
        number = int(attempt.name.rpartition("-")[2])
        done = self._answer(
            machines, stop, remote.execute, self._campaign, self._sources, run, on, number
        )
        if done.unusable is not None:
            raise MachinesLostError(f"{machines.name} can run nothing: {done.unusable}")
        remote.unpack(done.archive, self._folder.path)
        if done.ended.ending == "interrupted":
            self._require_stop(stop, machines)
        folder = done.ended.folder
        return replace(done.ended, folder=self._folder.path / folder if folder else None)

    @staticmethod
    def _require_stop(stop: Stop, machines: Machines) -> None:
        """Raise MachinesLostError if a worker stopped that the campaign did not tell to stop."""
        if not stop:
            raise MachinesLostError(f"the worker of {machines.name} was told to end")

    def _answer(
        self, machines: Machines, stop: Stop, function: Callable[..., _Answer], *arguments: Any
    ) -> _Answer:
        """Return what a function returns on the worker of some machines.

        Raises MachinesLostError if that worker is gone. Requests to stop are passed on.
        """
        address = self._addresses[machines.name]
        future: Future = self._client.submit(
            function, *arguments, workers=[address], allow_other_workers=False, pure=False
        )
        passed_on = 0
        while not future.done():
            if address not in self._client.nthreads():
                future.cancel()
                raise MachinesLostError(f"the worker of {machines.name} is gone")
            if stop.requests > passed_on:
                passed_on = stop.requests
                self._client.run(remote.request_stop, workers=[address])
            time.sleep(POLL_S)
        if future.status in ("cancelled", "lost"):
            raise MachinesLostError(f"the worker of {machines.name} is gone")
        answer: _Answer = future.result()
        return answer


def connected(scheduler: str) -> Client:
    """Return a client of a scheduler; raise RunError if it does not answer."""
    try:
        return Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise RunError(
            f"the Dask scheduler {shorten(scheduler)} does not answer: {shorten(error)}",
            remedy="start it with `dask scheduler`, and give an address such as "
            "tcp://127.0.0.1:8786",
        ) from None


def machines_of(client: Client, campaign: str) -> dict[str, WorkerMachines]:
    """Return the machines of each worker by its address, ready for a campaign.

    A run of a controller that was killed heals first. Raises UsageError without any worker, or if
    two workers have the same machines.
    """
    # A worker has one thread, so nothing begins before such a run has ended.
    client.run(remote.request_stop, on_error="ignore")
    futures = {
        address: client.submit(remote.begin, campaign, workers=[address], pure=False)
        for address in client.nthreads()
    }
    if not futures:
        raise UsageError(
            "the Dask scheduler has no workers", remedy="start some: `jepsenvm campaign worker`"
        )
    found: dict[str, WorkerMachines] = client.gather(futures)
    _require_different(list(found.values()))
    return found


def _require_different(machines: Sequence[Machines]) -> None:
    names = [one.name for one in machines]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"two Dask workers have the machines {shorten(twice[0])}",
            remedy="end one of them: two runs cannot use one cluster at once",
        )
