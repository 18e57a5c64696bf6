"""Stores of small runs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jepsenvm.experiment.store import ENVIRONMENT, HISTORY, LOG, PLAN, RESULTS, Store
from jepsenvm.plan.plan import Plan
from jepsenvm.workloads.registry import WORKLOADS
from tests.report_runs import write_history
from tests.unit.builders import acknowledged

FIRST: Final = "20260921T101500.000000Z"
SECOND: Final = "20260922T101500.000000Z"


def small_run(
    store: Path,
    name: str = "queue",
    time: str = FIRST,
    *,
    verdict: str | None = "valid",
    lost: int = 0,
    version: str | None = "4.0.5",
    reasons: tuple[str, ...] = (),
    **plan: Any,
) -> Path:
    """Write a run as a finished one is stored; without results if ``verdict`` is None."""
    folder = store / name / time
    folder.mkdir(parents=True)
    text = Plan(name="run", **plan).to_yaml()
    (folder / PLAN).write_text(text)
    Store(folder).begin()  # makes the link ``latest``, which is no run
    write_history(folder / HISTORY, [acknowledged(1, 5)], text)
    (folder / LOG).write_text("2026-09-21T10:15:00.000Z everything is healed\n")
    if verdict is not None:
        workload = WORKLOADS[plan.get("workload", "queue")]
        content = results(verdict, lost, reasons, checker=workload.main_checker)
        (folder / RESULTS).write_text(json.dumps(content))
    if version is not None:
        nodes = {"n1": {"rabbitmq": version, "clock-offset-seconds": 0.001}}
        (folder / ENVIRONMENT).write_text(json.dumps({"nodes": nodes}))
    return folder


def results(
    verdict: str,
    lost: int = 0,
    reasons: tuple[str, ...] = (),
    checker: str = "total-queue",
) -> Mapping[str, Any]:
    """Return the content of a results.json."""
    main = {"verdict": verdict, "acknowledged-count": 1000, "lost-count": lost, "lost": [1, 2]}
    return {"verdict": verdict, "reasons": list(reasons), "checkers": {checker: main}}


def still_going_on(run: Path) -> Path:
    """Let the log of a run look as if it had just been written, however slow this machine is."""
    moment = time.time() + 86_400
    os.utime(run / LOG, (moment, moment))
    return run


def files_of(root: Path) -> Mapping[Path, tuple[int, int]]:
    """Return every file below a folder with its size and when it was modified."""
    return {
        file: (file.lstat().st_size, file.lstat().st_mtime_ns) for file in sorted(root.rglob("*"))
    }
