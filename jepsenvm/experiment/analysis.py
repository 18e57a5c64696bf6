"""The checkers of a run or of another program's history, from the files on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from jepsenvm.checkers.availability import availability
from jepsenvm.checkers.broker_logs import broker_logs
from jepsenvm.checkers.exceptions import exceptions
from jepsenvm.checkers.exercise import exercised
from jepsenvm.checkers.faults import faults
from jepsenvm.checkers.grow_set import SET_EXERCISE, grow_set
from jepsenvm.checkers.latency import latency
from jepsenvm.checkers.recovery import recovery
from jepsenvm.checkers.register import REGISTER_EXERCISE, register
from jepsenvm.checkers.stats import stats
from jepsenvm.checkers.vacuity import vacuity
from jepsenvm.checkers.verdict import Checker, Results, check
from jepsenvm.errors import UsageError, shorten, shown
from jepsenvm.experiment.logs import INCOMPLETE
from jepsenvm.experiment.plan_file import read_plan
from jepsenvm.experiment.store import HISTORY, PLAN
from jepsenvm.history import edn
from jepsenvm.history.readers import open_history
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.plan.plan import Plan
from jepsenvm.report.presentation import Presentation
from jepsenvm.workloads.registry import WORKLOADS
from jepsenvm.workloads.workload import Workload

DEFAULT_FOREIGN_WORKLOAD: Final = "queue"


@dataclass(frozen=True)
class Analysis:
    """The results of a history, and how they are shown."""

    results: Results
    presentation: Presentation


@dataclass(frozen=True)
class ForeignWorkload:
    """How a history is checked that another program recorded."""

    checker: Checker
    presentation: Presentation


def presentation_of(workload: Workload[WorkloadOptions]) -> Presentation:
    """Return how the results of a workload are shown."""
    return Presentation(
        main_checker=workload.main_checker, headline=workload.headline, plots=workload.plots
    )


def foreign_workloads() -> dict[str, ForeignWorkload]:
    """Return the workloads of which histories by other programs can be checked, by name.

    Register and set are Jepsen's workloads for other databases. jepsenvm checks their histories
    but does not run them.
    """
    own = {
        name: ForeignWorkload(checker, presentation_of(workload))
        for name, workload in WORKLOADS.items()
        if (checker := workload.exercised_foreign_checker()) is not None
    }
    return {
        **own,
        "register": ForeignWorkload(
            exercised(register, REGISTER_EXERCISE),
            Presentation(main_checker="register", headline=_register_headline),
        ),
        "set": ForeignWorkload(
            exercised(grow_set, SET_EXERCISE),
            Presentation(main_checker="set", headline=_set_headline),
        ),
    }


def judge(path: Path, workload: str | None = None, *, initial: str | None = None) -> Analysis:
    """Check a run's directory or a history file.

    ``workload`` names the checker for a history of another program. ``initial`` is the value in EDN
    with which registers begin. Raises UsageError if there is nothing to check at the path, the
    workload is unknown, or it has no initial value.
    """
    if initial is not None and (path.is_dir() or workload != "register"):
        raise UsageError(
            "--initial: only a register has an initial value", remedy="use --workload register"
        )
    if path.is_dir():
        return judge_stored(path)
    if not path.exists():
        raise UsageError(f"{path}: no such run or history", remedy="give a path that exists")
    if path.name == HISTORY and (path.parent / PLAN).exists():
        return judge_stored(path.parent)
    name, known = workload or DEFAULT_FOREIGN_WORKLOAD, foreign_workloads()
    if name not in known:
        raise UsageError(
            f"--workload: unknown workload {name!r}", remedy=f"use {', '.join(sorted(known))}"
        )
    foreign = known[name]
    checker = foreign.checker if initial is None else _register_from(initial)
    checkers = {foreign.presentation.main_checker: checker}
    return Analysis(check(open_history(path), checkers), foreign.presentation)


def _register_from(initial: str) -> Checker:
    """Return the register checker with an initial value, given in EDN."""
    try:
        value = edn.read(initial)
    except edn.EdnError as problem:
        raise UsageError(
            f"--initial: {shorten(problem)}: {shown(initial)}", remedy="give a value as EDN"
        ) from None
    return exercised(partial(register, initial=value), REGISTER_EXERCISE)


def judge_stored(path: Path) -> Analysis:
    """Check the run in a directory of the store."""
    workload = WORKLOADS[read_plan(path / PLAN).workload]
    return Analysis(judge_run(path), presentation_of(workload))


def judge_run(path: Path) -> Results:
    """Check a run from its plan, history and logs. A run that ended early can be checked too."""
    plan = read_plan(path / PLAN)
    nodes = path / "nodes"
    checkers = run_checkers(plan, read_logs(nodes), incomplete_logs(nodes))
    return check(open_history(path / HISTORY), checkers)


def run_checkers(
    plan: Plan,
    logs: Mapping[str, Iterator[str]],
    incomplete: Mapping[str, str] | None = None,
) -> Mapping[str, Checker]:
    """Return the checkers of a run, by name: those of its workload, and those of every run.

    ``logs`` has the lines of each node's logs. ``incomplete`` says why lines are missing, by node.
    """
    workload = WORKLOADS[plan.workload]
    return {
        **workload.exercised_checkers(plan),
        "stats": stats,
        "faults": partial(faults, acknowledgements=workload.acknowledgements),
        "vacuity": partial(vacuity, acknowledgements=workload.acknowledgements),
        "recovery": recovery,
        "availability": partial(
            availability, within=plan.recover_within, ignored=workload.not_availability
        ),
        "latency": latency,
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


def _register_headline(figures: Mapping[str, Any]) -> str:
    kinds = ("read", "write", "cas", "in-doubt")
    return ", ".join(f"{kind} {figures[f'{kind}-count']:,}" for kind in kinds)


def _set_headline(figures: Mapping[str, Any]) -> str:
    kinds = ("attempt", "acknowledged", "ok", "lost", "unexpected", "recovered")
    return ", ".join(f"{kind} {figures[f'{kind}-count']:,}" for kind in kinds)
