"""From a run's folder, or a foreign history, to its results; what a run does at its end can be done again from disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from jepsenvm.checkers.availability import availability
from jepsenvm.checkers.broker_logs import broker_logs
from jepsenvm.checkers.exceptions import exceptions
from jepsenvm.checkers.faults import faults
from jepsenvm.checkers.grow_set import grow_set
from jepsenvm.checkers.latency import latency
from jepsenvm.checkers.lock import lock
from jepsenvm.checkers.order import order
from jepsenvm.checkers.recovery import recovery
from jepsenvm.checkers.register import register
from jepsenvm.checkers.stats import stats
from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.vacuity import vacuity
from jepsenvm.checkers.verdict import Checker, Results, check
from jepsenvm.errors import UsageError
from jepsenvm.experiment.plan_file import read_plan
from jepsenvm.experiment.store import HISTORY, PLAN
from jepsenvm.history.foreign import open_history
from jepsenvm.workloads.registry import WORKLOADS

FOREIGN: Mapping[str, tuple[str, Checker]] = {
    "queue": ("total-queue", total_queue),
    "order": ("order", order),
    "lock": ("lock", lock),
    "register": ("register", register),
    "set": ("set", grow_set),
}
"""How a history is judged that no run of ours made, by its workload: the checker's name, and the checker."""


def judge(path: Path, workload: str | None = None) -> Results:
    """Check a run's folder or a history file; raise UsageError when it can be neither."""
    if path.is_dir():
        return judge_run(path)
    if not path.exists():
        raise UsageError(f"{path}: there is no such run or history")
    if path.name == HISTORY and (path.parent / PLAN).exists():
        return judge_run(path.parent)
    name = workload or "queue"
    if name not in FOREIGN:
        raise UsageError(
            f"--workload: unknown workload {name!r}", remedy=f"known: {', '.join(sorted(FOREIGN))}"
        )
    checker, judged = FOREIGN[name]
    return check(open_history(path), {checker: judged})


def judge_run(path: Path) -> Results:
    """Check a run from its plan and its history, whether or not it came to its end."""
    plan = read_plan(path / PLAN)
    checkers: Mapping[str, Checker] = {
        **WORKLOADS[plan.workload].checkers(plan),
        "stats": stats,
        "faults": faults,
        "vacuity": vacuity,
        "recovery": recovery,
        "availability": partial(availability, within=plan.recover_within),
        "latency": latency,
        "exceptions": exceptions,
        "broker-logs": partial(
            broker_logs,
            logs=read_logs(path / "nodes"),
            patterns=plan.log_patterns,
            forbidden=plan.forbidden_log_patterns,
        ),
    }
    return check(open_history(path / HISTORY), checkers)


def read_logs(folder: Path) -> Mapping[str, Iterator[str]]:
    """Return the lines of the logs that a run collected, by node; they are read when they are asked for, once."""
    return {node.name: _lines(node) for node in sorted(folder.glob("*")) if node.is_dir()}


def _lines(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.log")):
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
