"""A load process that is killed in the middle of a load, with a real broker."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from jepsenvm.checkers.verdict import Verdict
from jepsenvm.experiment.load_processes import LoadProcesses
from jepsenvm.history.nemesis_records import LOAD_PROCESS
from jepsenvm.history.readers import open_history
from tests.proxy.broker import Broker
from tests.proxy.load import plan_of, run_through_proxy

KEYS = {
    **{"queue-type": "quorum", "window": 50, "messages": 24_000, "workers": 2, "consumers": 2},
    # The messages of the killed process are missing, so the load lasts until then.
    "time-limit": 40,
}


def kill_the_second(load: LoadProcesses) -> None:
    os.kill(load.pids[1], signal.SIGKILL)


def test_a_killed_load_process_makes_the_run_unknown(
    private_broker: Broker, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    run = asyncio.run(
        run_through_proxy(private_broker, folder, plan_of(KEYS), None, kill_the_second)
    )
    assert run.verdict is Verdict.UNKNOWN
    (reason,) = run.reasons
    assert reason.startswith("load process 2 of 2 died at ")
    assert ": killed by SIGKILL; " in reason
    history = open_history(folder / "history.arrow")
    assert (history.complete, history.damage) == (True, None)
    (death,) = (op for op in history.nemesis_ops() if op.f == LOAD_PROCESS and op.error)
    in_doubt = [op for op in history.ops() if op.error == death.error and op.process >= 0]
    assert {op.type for op in in_doubt} == {"info"}
    assert len(in_doubt) == death.data["in-flight"] > 0
    # The first process has published everything of its own, and nothing is lost or invented.
    figures = run.main.figures
    assert figures["acknowledged-count"] >= KEYS["messages"] * 2 // 3  # type: ignore[operator]  # an int
    assert (figures["lost-count"], figures["unexpected-count"], figures["undecided-count"]) == (
        *(0, 0, 0),
    )
