"""A campaign that is killed and continues, on a lab of its own. Only `script/test --all` runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml

from jepsenvm.campaign.folder import Folder
from jepsenvm.campaign.record import Record
from jepsenvm.machines import lab
from jepsenvm.machines.inventory import Inventory
from tests.lab.conftest import JEPSENVM, jepsenvm

CAMPAIGN: dict[str, Any] = {
    "name": "killed",
    "plan": {"net-ticktime": 8, "time-limit": 40, "quiet-before": 5, "fault-duration": 25},
    "matrix": {"nemesis": ["kill", "partition-random-halves"]},
    "expect": [{"verdict": "any"}],
}

IN_FORCE_WITHIN_S = 400.0


def records(folder: Folder) -> list[Record]:
    return [folder.record(run.id) for run in folder.expansion().runs]


def has_fault(folder: Path) -> bool:
    """Return whether the log of a run says that a fault is in force."""
    return any("in force" in log.read_text() for log in folder.rglob("jepsenvm.log"))


def test_a_campaign_that_is_killed_in_a_run_continues(cluster: Inventory, tmp_path: Path) -> None:
    """SIGKILL of the campaign while a run has a fault in force: the run heals and does not count,
    the campaign repeats it, and each run counts once.
    """
    file, directory = tmp_path / "c.yml", tmp_path / "c"
    file.write_text(yaml.safe_dump(CAMPAIGN, sort_keys=False))
    words = ["campaign", "run", str(file), "--dir", str(directory), "-i", str(cluster.path)]
    with (tmp_path / "output").open("w") as output:
        killed = subprocess.Popen(
            [JEPSENVM, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        deadline = time.monotonic() + IN_FORCE_WITHIN_S
        while not has_fault(directory):
            assert killed.poll() is None, (tmp_path / "output").read_text()
            assert time.monotonic() < deadline, "no fault came into force"
            time.sleep(0.5)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    folder = Folder(directory)
    assert [record.verdict for record in records(folder)] == [None, None]
    assert sum(len(record.in_progress) for record in records(folder)) == 1

    resumed = jepsenvm(*words, timeout=1800)
    assert resumed.returncode in (0, 2), resumed.stdout + resumed.stderr
    assert "of the killed campaign still runs" in resumed.stdout
    for record in records(folder):
        assert record.last is not None
        assert record.last.ending == "verdict"
        assert record.last.version
        assert (directory / record.last.folder / "report.html").exists()
    interrupted = [
        a for record in records(folder) for a in record.attempts if a.ending == "interrupted"
    ]
    assert len(interrupted) == 1
    assert "report.html" in (directory / "report.html").read_text()

    again = jepsenvm(*words, expect=resumed.returncode)
    assert "2 are done" in again.stdout
    data = json.loads(jepsenvm("campaign", "plan", str(file), "--format", "json", expect=0).stdout)
    assert len(data["runs"]) == 2
    assert lab.is_up()
