"""The checkers of a run, from its plan and its files on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from jepsenvm.checkers.availability import availability
from jepsenvm.checkers.broker_logs import broker_logs
from jepsenvm.checkers.exceptions import exceptions
from jepsenvm.checkers.faults import faults
from jepsenvm.checkers.latency import latency
from jepsenvm.checkers.load_processes import load_processes
from jepsenvm.checkers.recovery import recovery
from jepsenvm.checkers.stats import stats
from jepsenvm.checkers.vacuity import vacuity
from jepsenvm.checkers.verdict import Checker, Result, Results, Verdict
from jepsenvm.checkers.versions import versions
from jepsenvm.errors import UsageError, shorten
from jepsenvm.experiment.analysis import Analysis, checked
from jepsenvm.experiment.foreign_analysis import (
    DEFAULT_FOREIGN_WORKLOAD,
    FOREIGN_WORKLOADS,
    OPERATIONS,
    judge_foreign,
    operations_of,
)
from jepsenvm.experiment.plan_file import parse_plan, plan_of_new_run, read_plan
from jepsenvm.experiment.store import HISTORY, INCOMPLETE, PLAN
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.plan.plan import Plan
from jepsenvm.report.presentation import Presentation
from jepsenvm.workloads.registry import WORKLOADS
from jepsenvm.workloads.workload import Workload


def presentation_of(workload: Workload[WorkloadOptions]) -> Presentation:
    """Return how the results of a workload are shown."""
    return Presentation(
        main_checker=workload.main_checker,
        headline=workload.headline,
        plots=workload.plots,
        acknowledgements=workload.acknowledgements,
        not_availability=workload.not_availability,
    )


def judge_recorded(
    path: Path, history: History, workload: str | None, initial: str | None
) -> Analysis:
    """Check a history that may be of a run, and is not in the folder of its run.

    Raises UsageError if the workload is unknown, or the history is not of a run and needs one.
    """
    known = FOREIGN_WORKLOADS.keys() | WORKLOADS.keys()
    if workload is not None and workload not in known:
        raise UsageError(
            f"--workload: unknown workload {shorten(workload)!r}",
            remedy=f"use {', '.join(sorted(known))}",
        )
    if history.own and (history.plan is not None or (workload or "queue") in WORKLOADS):
        return _judge_own(path, history, workload)
    return judge_foreign(path, history, workload, initial)


def _judge_own(path: Path, history: History, workload: str | None) -> Analysis:
    """Check a history of a run that is not in the folder of its run.

    Its own records of faults, recovery and interruption count. Older histories do not have their
    plan: they are judged as the default plan of their workload says.
    """
    if history.plan is not None:
        plan = parse_plan(history.plan, f"the plan in {path}")
    else:
        plan = plan_of_new_run(None, {"workload": workload or _own_workload(history), "seed": 0})
    return Analysis(
        checked(history, _checkers_with_logs(plan, path.parent)),
        presentation_of(WORKLOADS[plan.workload]),
    )


def _own_workload(history: History) -> str:
    """Return the workload that recorded a history without its plan, by its operations."""
    names = operations_of(history)
    for workload in ("lock", "stream"):
        if names & set(OPERATIONS[workload]):
            return workload
    return DEFAULT_FOREIGN_WORKLOAD


def judge_stored(path: Path, read: Callable[[Path], History] = open_history) -> Analysis:
    """Check the run in a directory of the store. ``read`` opens its history."""
    history = read(path / HISTORY)
    plan, remarks = plan_of_run(path, history)
    checkers = {**_checkers_with_logs(plan, path), **remarks}
    return Analysis(checked(history, checkers), presentation_of(WORKLOADS[plan.workload]))


def judge_run(path: Path) -> Results:
    """Check a run from its plan, history and logs. A run that ended early can be checked too."""
    return judge_stored(path).results


def _checkers_with_logs(plan: Plan, folder: Path) -> Mapping[str, Checker]:
    """Return the checkers of a run, with the logs that were collected to its folder."""
    nodes = folder / "nodes"
    return run_checkers(plan, read_logs(nodes), incomplete_logs(nodes))


def plan_of_run(path: Path, history: History) -> tuple[Plan, Mapping[str, Checker]]:
    """Return the plan of a run, and a checker that remarks on a plan file that was edited.

    The plan in the history counts: the run followed it, and it has a checksum.
    """
    from_file = read_plan(path / PLAN)
    if history.plan is None:
        return from_file, {}
    plan = parse_plan(history.plan, f"the plan in {path / HISTORY}")
    if plan == from_file:
        return plan, {}
    remark = f"{PLAN} was changed after the run; the run is judged by the plan in {HISTORY}"
    return plan, {"plan": lambda _: Result(Verdict.VALID, (remark,))}


def run_checkers(
    plan: Plan,
    logs: Mapping[str, Iterator[str]],
    incomplete: Mapping[str, str] | None = None,
) -> Mapping[str, Checker]:
    """Return the checkers of a run, by name: those of its workload, and those of every run.

    ``logs`` has the lines of each node's logs. ``incomplete`` says why lines are missing, by node.
    """
    workload = WORKLOADS[plan.workload]
    several = {"load-processes": partial(load_processes, processes=plan.workers)}
    return {
        **workload.exercised_checkers(plan),
        **(several if plan.workers > 1 else {}),
        "stats": stats,
        "faults": partial(faults, acknowledgements=workload.acknowledgements),
        "vacuity": partial(
            vacuity,
            acknowledgements=workload.acknowledgements,
            leader_alone=plan.leader_alone,
        ),
        "recovery": recovery,
        "availability": partial(
            availability, within=plan.recover_within, ignored=workload.not_availability
        ),
        "latency": latency,
        "versions": versions,
        "exceptions": exceptions,
        "broker-logs": partial(
            broker_logs,
            logs=logs,
            incomplete=incomplete or {},
            patterns=plan.log_patterns,
            forbidden=plan.forbidden_log_patterns,
        ),
    }


def read_logs(directory: Path) -> Mapping[str, Iterator[str]]:
    """Return the lines of a run's collected logs, by node, as iterators that read lazily."""
    return {node.name: _lines(node) for node in sorted(directory.glob("*")) if node.is_dir()}


def incomplete_logs(directory: Path) -> Mapping[str, str]:
    """Return why lines are missing from a run's collected logs, by node."""
    return {
        file.parent.name: "; ".join(file.read_text(encoding="utf-8", errors="replace").splitlines())
        for file in sorted(directory.glob(f"*/{INCOMPLETE}"))
    }


def _lines(directory: Path) -> Iterator[str]:
    for path in sorted(directory.glob("*.log*")):
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
