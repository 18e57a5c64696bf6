"""A scenario from a stored run, with the faults that were injected by hand during it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from jepsenvm.checkers.fault_intervals import FaultInterval, fault_intervals
from jepsenvm.errors import MALFORMED, UsageError, shown
from jepsenvm.experiment.plan_file import SCENARIO, resolve_plan
from jepsenvm.experiment.run_analysis import judge_stored, plan_of_run
from jepsenvm.experiment.store import history_file
from jepsenvm.history.nemesis_records import SCHEDULE
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History
from jepsenvm.history.units import SECOND
from jepsenvm.nemesis.manual import FIRST_NUMBER
from jepsenvm.plan.plan import DRAWING_KEYS, Plan
from jepsenvm.report.terminal import verdict_lines
from jepsenvm.scenarios.fault_item import planned_items, schedule_keys
from jepsenvm.scenarios.reading import scenario_of
from jepsenvm.scenarios.scenario import NONE_RECORDED

logger = logging.getLogger(__name__)

ALL_VERSIONS: Final = ">=3.8"

KEPT: Final = ("workload", "queue-type", "time-limit", "seed")
"""Keys that a written plan has even where they have their default."""

LEAST_S: Final = 0.1
"""The shortest fault that is written, in seconds. Times are rounded to it."""


def scenario_text(name: str, run: Path) -> str:
    """Return a scenario file with the plan and the faults of a stored run.

    Raises UsageError if the run cannot be read, or its faults cannot be planned. Nothing is
    expected of it: one run shows what can happen, not what must.
    """
    history = open_history(history_file(run))
    plan, _ = plan_of_run(run, history)
    try:
        document = {SCENARIO: _about(run), "name": name, **_plan(plan, history)}
    except MALFORMED as problem:
        raise UsageError(
            f"{run}: the records of its faults are not understood: {shown(problem)}",
            remedy="use a run of this version of jepsenvm",
        ) from None
    scenario_of(document, Path(f"{name}.yml"))
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _about(run: Path) -> dict[str, Any]:
    analysis = judge_stored(run)
    observed = " ".join(verdict_lines(analysis.results, analysis.presentation))
    return {
        "title": f"As in the run {run.resolve().parent.name}/{run.resolve().name}",
        "story": f"One run was {' '.join(observed.split())}",
        "source": [f"the run {run.resolve().parent.name}/{run.resolve().name}"],
        "versions": ALL_VERSIONS,
        "expected": [{"versions": ALL_VERSIONS, "verdict": NONE_RECORDED}],
        "outcomes": {
            "valid": "The cluster kept its promises under these faults.",
            "invalid": "The cluster broke a promise under these faults.",
        },
    }


def _plan(plan: Plan, history: History) -> dict[str, Any]:
    """Return the plan's keys that differ from their defaults, with the faults by hand."""
    document = _written(plan)
    document.pop("name")
    intervals = fault_intervals(history)
    nodes = _nodes(history, intervals)
    by_hand = [item for item in intervals if item.number >= FIRST_NUMBER]
    if by_hand:
        items = [*_planned(history, nodes), *_by_hand(by_hand, plan, history, nodes)]
        for key in (*DRAWING_KEYS, "repeat-every"):
            document.pop(key, None)
        document["schedule"] = sorted(items, key=_begin)
    defaults = _written(
        resolve_plan({key: document[key] for key in ("workload", "queue-type")}, "defaults")
    )
    return {
        key: value
        for key, value in document.items()
        if key in KEPT or key not in defaults or value != defaults[key]
    }


def _written(plan: Plan) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(plan.to_yaml())
    return document


def _begin(item: Mapping[str, Any]) -> float:
    return float(item["at"])


def _planned(history: History, nodes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the faults of the run's schedule as it was drawn."""
    for op in history.nemesis_ops():
        if op.f == SCHEDULE:
            yield from planned_items(op.data, nodes)


def _by_hand(
    intervals: Sequence[FaultInterval], plan: Plan, history: History, nodes: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield the faults by hand. Those that began after the load are left out."""
    began = _load_began(history)
    for interval in intervals:
        at = _seconds(began, interval.in_force or interval.injected)
        ended = interval.heal_began
        until = plan.time_limit if ended is None else _seconds(began, ended)
        until = min(until, plan.time_limit)
        if at > plan.time_limit - LEAST_S:
            logger.info(f"{interval.title} began after the load, and is left out")
            continue
        times = {"at": at, "for": round(max(LEAST_S, until - at), 1)}
        yield {**times, **schedule_keys(interval.fault, nodes)}


def _seconds(began: int, moment: int) -> float:
    return max(0.0, round((moment - began) / SECOND, 1))


def _load_began(history: History) -> int:
    """Return the time of the first op of a client, in nanoseconds since the run began."""
    for op in history.ops():
        if op.process != NEMESIS and op.type == "invoke":
            return op.time
    raise UsageError(
        "the run has no op of a client, so the times of its faults mean nothing",
        remedy="use a run with a load",
    )


def _nodes(history: History, intervals: Sequence[FaultInterval]) -> list[str]:
    """Return the nodes on which clients or faults acted.

    ``history.nodes`` is complete because ``fault_intervals`` has read every chunk.
    """
    nodes = set(filter(None, history.nodes))
    for interval in intervals:
        nodes.update(interval.fault.get("nodes", ()))
        nodes.update(interval.fault.get("grudge", {}))
    return sorted(nodes)
