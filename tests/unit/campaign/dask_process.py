"""A Dask worker whose runs need no cluster: a run ends when the file `go` is there, or on a stop.

python -m tests.unit.campaign.dask_process ADDRESS HOST FOLDER
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from jepsenvm.campaign import remote_machines
from jepsenvm.campaign.dask_worker import work
from jepsenvm.campaign.launcher import Stop
from jepsenvm.campaign.planned import Cluster, PlannedRun
from jepsenvm.campaign.preparation import Condition, Deployment
from jepsenvm.campaign.remote_machines import WorkerMachines
from jepsenvm.campaign.runner import Ended
from jepsenvm.campaign.spec import Machines
from jepsenvm.errors import RunError
from tests.unit.campaign.builders import VALID


class WaitingRunner:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(
        self, machines: Machines, cluster: Cluster, now: Deployment, log: Path, stop: Stop
    ) -> Deployment:
        if (self._folder / "breaks").exists():
            raise RunError("no host answers", remedy="repair it")
        return Deployment(cluster, "inventory.yml", Condition.READY)

    def run(
        self, run: PlannedRun, machines: Machines, on: Deployment, attempt: Path, stop: Stop
    ) -> Ended:
        stored = attempt / "mine" / "now"
        stored.mkdir(parents=True)
        (stored / "results.json").write_text(machines.name)
        attempt.with_suffix(".log").write_text("a line\n")
        (self._folder / f"{machines.name} began").touch()
        while not (self._folder / "go").exists():
            if stop:
                return Ended("interrupted")
            time.sleep(0.02)
        return Ended("verdict", VALID, stored, "3.10.8")


def main(address: str, host: str, folder: Path) -> None:
    machines = WorkerMachines(lab="default", host=host)
    remote_machines.serve(machines, folder / host, lambda _folder, _sources: WaitingRunner(folder))
    asyncio.run(work(address, "127.0.0.1"))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
