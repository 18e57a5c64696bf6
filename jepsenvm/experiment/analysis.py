"""The checkers of a run or of another program's history, from the files on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from jepsenvm import steps
from jepsenvm.checkers.availability import availability
from jepsenvm.checkers.broker_logs import broker_logs
from jepsenvm.checkers.exceptions import exceptions
from jepsenvm.checkers.exercise import exercised
from jepsenvm.checkers.faults import faults
from jepsenvm.checkers.grow_set import SET_EXERCISE, grow_set
from jepsenvm.checkers.latency import latency
from jepsenvm.checkers.load_processes import load_processes
from jepsenvm.checkers.recovery import recovery
from jepsenvm.checkers.register import REGISTER_EXERCISE, register
from jepsenvm.checkers.set_full import SET_FULL_EXERCISE, set_full
from jepsenvm.checkers.stats import stats
from jepsenvm.checkers.vacuity import vacuity
from jepsenvm.checkers.verdict import Checker, Result, Results, Verdict, check
from jepsenvm.checkers.versions import versions
from jepsenvm.errors import UsageError, shorten, shown
from jepsenvm.experiment.plan_file import parse_plan, plan_of_new_run, read_plan
from jepsenvm.experiment.store import HISTORY, INCOMPLETE, PLAN
from jepsenvm.history import edn
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.plan.plan import Plan
from jepsenvm.report.presentation import Presentation
from jepsenvm.workloads.registry import WORKLOADS
from jepsenvm.workloads.workload import Workload

DEFAULT_FOREIGN_WORKLOAD: Final = "queue"
JEPSEN_HISTORY: Final = "history.edn"
"""The history in a store directory of Jepsen."""


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
        main_checker=workload.main_checker,
        headline=workload.headline,
        plots=workload.plots,
        acknowledgements=workload.acknowledgements,
        not_availability=workload.not_availability,
    )


def foreign_workloads() -> dict[str, ForeignWorkload]:
    """Return the workloads of which histories by other programs can be checked, by name.

    Register and the sets are Jepsen's workloads for other databases. jepsenvm checks their
    histories but does not run them.
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
        "set-full": ForeignWorkload(
            exercised(set_full, SET_FULL_EXERCISE),
            Presentation(main_checker="set-full", headline=_set_full_headline),
        ),
        "set-full-linearizable": ForeignWorkload(
            exercised(partial(set_full, linearizable=True), SET_FULL_EXERCISE),
            Presentation(main_checker="set-full", headline=_set_full_headline),
        ),
    }


def judge(
    path: Path,
    workload: str | None = None,
    *,
    initial: str | None = None,
    read: Callable[[Path], History] = open_history,
) -> Analysis:
    """Check a run's directory, a history file, or a store directory of Jepsen.

    ``workload`` names the checker for a history of another program. A history that a run recorded
    is judged with everything that it records about the run, wherever it is. ``initial`` is the
    value in EDN with which registers begin. ``read`` opens the history. Raises UsageError if there
    is nothing to check at the path, the workload is unknown, or it has no initial value.
    """
    if initial is not None and workload != "register":
        raise UsageError(
            "--initial: only a register has an initial value", remedy="use --workload register"
        )
    try:
        is_folder = path.is_dir()
        path.lstat()
    except OSError as problem:
        missing = isinstance(problem, FileNotFoundError | NotADirectoryError)
        raise UsageError(
            f"{path}: {'no such run or history' if missing else problem.strerror}",
            remedy="give a path that exists" if missing else None,
        ) from None
    if is_folder:
        return _judge_folder(path, workload, initial, read)
    if path.name == HISTORY and (path.parent / PLAN).exists():
        return judge_stored(path.parent, read)
    return _judge_history(path, read(path), workload, initial)


def _judge_folder(
    path: Path, workload: str | None, initial: str | None, read: Callable[[Path], History]
) -> Analysis:
    if (path / HISTORY).exists() and not (path / PLAN).exists():
        return _judge_history(path, read(path / HISTORY), workload, initial)
    if (path / HISTORY).exists() or (path / PLAN).exists():
        return judge_stored(path, read)
    jepsen = path / JEPSEN_HISTORY
    if jepsen.exists():
        return _judge_history(jepsen, read(jepsen), workload, initial)
    raise UsageError(
        f"{path}: there is no run and no history here",
        remedy=f"give a folder with {HISTORY} or {JEPSEN_HISTORY}, or a history file",
    )


def _judge_history(
    path: Path, history: History, workload: str | None, initial: str | None
) -> Analysis:
    """Check a history that is not in the folder of its run."""
    if workload is not None and workload not in foreign_workloads().keys() | WORKLOADS.keys():
        names = ", ".join(sorted(foreign_workloads().keys() | WORKLOADS.keys()))
        raise UsageError(
            f"--workload: unknown workload {shorten(workload)!r}", remedy=f"use {names}"
        )
    if history.own and (history.plan is not None or (workload or "queue") in WORKLOADS):
        return _judge_own(path, history, workload)
    name = workload or _workload_of(path, history)
    if name not in foreign_workloads():
        raise UsageError(
            f"--workload {name}: only runs of jepsenvm can be checked for it",
            remedy=f"use {', '.join(sorted(foreign_workloads()))}",
        )
    foreign = foreign_workloads()[name]
    checker = foreign.checker if initial is None else _register_from(initial)
    checkers = {foreign.presentation.main_checker: checker}
    return Analysis(_checked(history, checkers), foreign.presentation)


def _checked(history: History, checkers: Mapping[str, Checker]) -> Results:
    """Run checkers, and report each as a step."""

    def reporting(number: int, name: str, checker: Checker) -> Checker:
        def run(each_history: History) -> Result:
            steps.report(f"checking {name}", number, len(checkers))
            return checker(each_history)

        return run

    reported = {
        name: reporting(number, name, checker)
        for number, (name, checker) in enumerate(checkers.items())
    }
    return check(history, reported)


OPERATIONS: Final[Mapping[str, Sequence[str]]] = {
    "queue": ("enqueue", "dequeue", "drain"),
    "lock": ("acquire", "release", "tokens"),
    "register": ("write", "cas", "read"),
    "set": ("add", "read"),
    "set-full": ("add",),
    "stream": ("end",),
}
"""The operations by which the workload of a history is recognised, if nobody names it."""

MOST_NAMES: Final = 10
"""A message lists at most this many names of operations."""


def _workload_of(path: Path, history: History) -> str:
    """Return the workload of a history, by the names of its operations.

    That is the queue, unless the history has only operations of other workloads. Raises UsageError
    then: how these are to be judged is for the user to say.
    """
    names = _operations(history)
    if names & set(OPERATIONS[DEFAULT_FOREIGN_WORKLOAD]):
        return DEFAULT_FOREIGN_WORKLOAD
    others = [
        workload
        for workload, operations in OPERATIONS.items()
        if workload in foreign_workloads() and names & set(operations)
    ]
    if not others:
        return DEFAULT_FOREIGN_WORKLOAD
    shown_names = ", ".join(shorten(repr(name)) for name in sorted(names)[:MOST_NAMES])
    raise UsageError(
        f"{path}: the history has the operations {shown_names}, and none of a queue",
        remedy=f"name its workload: {' or '.join(f'--workload {name}' for name in others)}",
    )


def _operations(history: History) -> set[str]:
    """Return the names of the clients' operations."""
    of_nemesis = Counter[tuple[str, str]]((op.type, op.f) for op in history.nemesis_ops())
    return {f for _, f in history.counts() - of_nemesis}


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
        _checked(history, _checkers_with_logs(plan, path.parent)),
        presentation_of(WORKLOADS[plan.workload]),
    )


def _own_workload(history: History) -> str:
    """Return the workload that recorded a history without its plan, by its operations."""
    names = _operations(history)
    for workload in ("lock", "stream"):
        if names & set(OPERATIONS[workload]):
            return workload
    return DEFAULT_FOREIGN_WORKLOAD


def _register_from(initial: str) -> Checker:
    """Return the register checker with an initial value, given in EDN."""
    try:
        value = edn.read(initial)
    except edn.EdnError as problem:
        raise UsageError(
            f"--initial: {shorten(problem)}: {shown(initial)}", remedy="give a value as EDN"
        ) from None
    return exercised(partial(register, initial=value), REGISTER_EXERCISE)


def judge_stored(path: Path, read: Callable[[Path], History] = open_history) -> Analysis:
    """Check the run in a directory of the store. ``read`` opens its history."""
    history = read(path / HISTORY)
    plan, remarks = plan_of_run(path, history)
    checkers = {**_checkers_with_logs(plan, path), **remarks}
    return Analysis(_checked(history, checkers), presentation_of(WORKLOADS[plan.workload]))


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
            unreplicated=plan.queue_type == "classic",
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


def _register_headline(figures: Mapping[str, Any]) -> str:
    kinds = ("read", "write", "cas", "in-doubt")
    return ", ".join(f"{kind} {figures[f'{kind}-count']:,}" for kind in kinds)


def _set_headline(figures: Mapping[str, Any]) -> str:
    kinds = ("attempt", "acknowledged", "ok", "lost", "unexpected", "recovered")
    return ", ".join(f"{kind} {figures[f'{kind}-count']:,}" for kind in kinds)


def _set_full_headline(figures: Mapping[str, Any]) -> str:
    kinds = ("attempt", "stable", "lost", "stale", "never-read", "read")
    return ", ".join(f"{kind} {figures[f'{kind}-count']:,}" for kind in kinds)
