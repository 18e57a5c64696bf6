"""The checkers of histories that other programs recorded. They need no plan and no AMQP client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from jepsenvm.checkers.exercise import exercised
from jepsenvm.checkers.foreign_queue import foreign_queue
from jepsenvm.checkers.grow_set import SET_EXERCISE, grow_set
from jepsenvm.checkers.lock import LOCK_EXERCISE, lock, lock_headline
from jepsenvm.checkers.order import ORDER_EXERCISE, order, order_headline
from jepsenvm.checkers.register import REGISTER_EXERCISE, register
from jepsenvm.checkers.set_full import SET_FULL_EXERCISE, set_full
from jepsenvm.checkers.total_queue import (
    TOTAL_QUEUE_EXERCISE,
    TOTAL_QUEUE_PLOTS,
    total_queue_headline,
)
from jepsenvm.checkers.verdict import Checker
from jepsenvm.errors import UsageError, shorten, shown
from jepsenvm.experiment.analysis import Analysis, checked
from jepsenvm.history import edn
from jepsenvm.history.table import History
from jepsenvm.report.presentation import Presentation

DEFAULT_FOREIGN_WORKLOAD: Final = "queue"


@dataclass(frozen=True)
class ForeignWorkload:
    """How a history is checked that another program recorded."""

    checker: Checker
    presentation: Presentation


def _register_headline(figures: Mapping[str, Any]) -> str:
    kinds = ("read", "write", "cas", "in-doubt")
    return ", ".join(f"{kind} {figures[f'{kind}-count']:,}" for kind in kinds)


def _set_headline(figures: Mapping[str, Any]) -> str:
    kinds = ("attempt", "acknowledged", "ok", "lost", "unexpected", "recovered")
    return ", ".join(f"{kind} {figures[f'{kind}-count']:,}" for kind in kinds)


def _set_full_headline(figures: Mapping[str, Any]) -> str:
    kinds = ("attempt", "stable", "lost", "stale", "never-read", "read")
    return ", ".join(f"{kind} {figures[f'{kind}-count']:,}" for kind in kinds)


FOREIGN_WORKLOADS: Final[Mapping[str, ForeignWorkload]] = {
    "queue": ForeignWorkload(
        exercised(foreign_queue, TOTAL_QUEUE_EXERCISE),
        Presentation(
            main_checker="total-queue", headline=total_queue_headline, plots=TOTAL_QUEUE_PLOTS
        ),
    ),
    "order": ForeignWorkload(
        exercised(order, ORDER_EXERCISE),
        Presentation(main_checker="order", headline=order_headline, plots=TOTAL_QUEUE_PLOTS),
    ),
    "lock": ForeignWorkload(
        exercised(lock, LOCK_EXERCISE),
        Presentation(
            main_checker="lock",
            headline=lock_headline,
            plots={"acquire": "acquired"},
            acknowledgements=("acquire",),
        ),
    ),
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
"""The workloads of which histories by other programs can be checked, by name.

Register and the sets are Jepsen's workloads for other databases. jepsenvm checks their histories
but does not run them.
"""


def judge_foreign(
    path: Path, history: History, workload: str | None, initial: str | None
) -> Analysis:
    """Check a history of another program; raise UsageError if only a run has the workload."""
    name = workload or _workload_of(path, history)
    if name not in FOREIGN_WORKLOADS:
        raise UsageError(
            f"--workload {name}: only runs of jepsenvm can be checked for it",
            remedy=f"use {', '.join(sorted(FOREIGN_WORKLOADS))}",
        )
    foreign = FOREIGN_WORKLOADS[name]
    checker = foreign.checker if initial is None else _register_from(initial)
    checkers = {foreign.presentation.main_checker: checker}
    return Analysis(checked(history, checkers), foreign.presentation)


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
    names = operations_of(history)
    if names & set(OPERATIONS[DEFAULT_FOREIGN_WORKLOAD]):
        return DEFAULT_FOREIGN_WORKLOAD
    others = [
        workload
        for workload, operations in OPERATIONS.items()
        if workload in FOREIGN_WORKLOADS and names & set(operations)
    ]
    if not others:
        return DEFAULT_FOREIGN_WORKLOAD
    shown_names = ", ".join(shorten(repr(name)) for name in sorted(names)[:MOST_NAMES])
    raise UsageError(
        f"{path}: the history has the operations {shown_names}, and none of a queue",
        remedy=f"name its workload: {' or '.join(f'--workload {name}' for name in others)}",
    )


def operations_of(history: History) -> set[str]:
    """Return the names of the clients' operations."""
    of_nemesis = Counter[tuple[str, str]]((op.type, op.f) for op in history.nemesis_ops())
    return {f for _, f in history.counts() - of_nemesis}


def _register_from(initial: str) -> Checker:
    """Return the register checker with an initial value, given in EDN."""
    try:
        value = edn.read(initial)
    except edn.EdnError as problem:
        raise UsageError(
            f"--initial: {shorten(problem)}: {shown(initial)}", remedy="give a value as EDN"
        ) from None
    return exercised(partial(register, initial=value), REGISTER_EXERCISE)
