"""The run that is shrunk, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jepsenvm.checkers.outcome import Outcome
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.errors import MALFORMED, UsageError
from jepsenvm.experiment.resumption import Resumption
from jepsenvm.experiment.run_analysis import plan_of_run
from jepsenvm.experiment.store import HISTORY, PLAN
from jepsenvm.experiment.stored_outcome import stored_outcome
from jepsenvm.history.nemesis_records import SCHEDULE
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History
from jepsenvm.scenarios.fault_item import planned_items


@dataclass(frozen=True)
class OriginalRun:
    """A run that failed."""

    document: Mapping[str, Any]
    """The keys of its plan."""
    schedule: Sequence[Mapping[str, Any]]
    """Its planned faults as items of a plan's schedule."""
    outcome: Outcome
    version: str
    nodes: int
    inventory: str
    existing: bool


def original_run(folder: Path) -> OriginalRun:
    """Return a run that failed; raise UsageError unless it is invalid and its faults are known."""
    for name in (PLAN, HISTORY):
        if not (folder / name).is_file():
            raise UsageError(
                f"{folder}: not the folder of a run: it has no {name}",
                remedy="give a folder such as store/run/TIME",
            )
    history = open_history(folder / HISTORY)
    plan, _ = plan_of_run(folder, history)
    stored = stored_outcome(folder, plan.workload)
    if stored.outcome is None or stored.outcome.verdict is not Verdict.INVALID:
        verdict = stored.outcome.verdict if stored.outcome else "not known"
        raise UsageError(
            f"{folder}: its verdict is {verdict}, and only an invalid run can be shrunk",
            remedy=f"see `jepsenvm check {folder}`",
        )
    resumption = Resumption.read(folder)
    return OriginalRun(
        document=yaml.safe_load(plan.to_yaml()),
        schedule=_schedule(folder, history, sorted(resumption.log_sizes)),
        outcome=stored.outcome,
        version=stored.version,
        nodes=len(resumption.log_sizes),
        inventory=resumption.inventory,
        existing=resumption.existing,
    )


def _schedule(folder: Path, history: History, nodes: Sequence[str]) -> list[dict[str, Any]]:
    schedules = [op.data for op in history.nemesis_ops() if op.f == SCHEDULE]
    try:
        return planned_items(schedules[-1], nodes)
    except MALFORMED:
        raise UsageError(f"{folder}: the record of its faults cannot be read") from None
