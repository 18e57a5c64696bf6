"""Loads a run from its folder for a report, and says what the folder does not have."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.errors import MALFORMED, UsageError
from jepsenvm.experiment.analysis import Analysis
from jepsenvm.experiment.environment import read_environment
from jepsenvm.experiment.judge import judge
from jepsenvm.experiment.plan_file import parse_plan
from jepsenvm.experiment.resumption import FILE as RESUME
from jepsenvm.experiment.resumption import Resumption
from jepsenvm.experiment.run_analysis import (
    incomplete_logs,
    plan_of_run,
    presentation_of,
    read_logs,
)
from jepsenvm.experiment.store import ENVIRONMENT, HISTORY, PLAN, RESULTS
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History, from_ops
from jepsenvm.plan.plan import Plan
from jepsenvm.report.stored_run import StoredRun
from jepsenvm.workloads.registry import WORKLOADS

DEFAULT_WORKLOAD: Final = "queue"
"""How results are shown if nobody knows which workload they are of."""


@dataclass(frozen=True)
class _Files:
    """What the folder of a run has beside the history, the plan and the results."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    began: float | None = None
    """When the history begins, in seconds since 1970."""
    logs: Mapping[str, Iterator[str]] = field(default_factory=dict)
    incomplete_logs: Mapping[str, str] = field(default_factory=dict)


def load_run(path: Path, results: Results | None = None) -> StoredRun:
    """Return the run in a folder, or in a history file. Without ``results`` it is judged again.

    Whatever the folder lacks is named in ``missing``. Raises UsageError only if there is nothing at
    the path.
    """
    folder = path if path.is_dir() else None
    # The verdict and the charts are of the same ops, and a large history is read and kept once.
    read = cache(open_history)
    history, missing = _history(path, read)
    plan, plan_missing = _plan(path, history)
    missing += plan_missing
    analysis = _analysis(path, plan, results, read)
    files = _files(folder) if folder is not None else _Files()
    if folder is not None:
        missing += _missing_files(files)
        missing += _stored_verdict(folder, analysis.results)
    return StoredRun(
        title=_title(path, plan),
        results=analysis.results,
        presentation=analysis.presentation,
        history=history,
        plan=plan.to_yaml() if plan is not None else "",
        settings=_settings(plan, files.facts),
        environment=_environment(plan, files.facts, files.began),
        nodes=_node_facts(files.facts),
        clock_offsets=_clock_offsets(files.facts),
        logs=files.logs,
        incomplete_logs=files.incomplete_logs,
        began=files.began,
        missing=missing,
    )


def _history(path: Path, read: Callable[[Path], History]) -> tuple[History, list[str]]:
    """Return the history, or an empty one, and what is wrong with it."""
    file = path / HISTORY if path.is_dir() else path
    jepsen = path / "history.edn"
    if not file.exists() and jepsen.exists():
        file = jepsen
    if not file.exists():
        if not path.exists():
            raise UsageError(f"{path}: no such run or history", remedy="give a path that exists")
        sentence = f"There is no {HISTORY}: the load did not begin, or the file was removed."
        return from_ops([], complete=False), [sentence]
    try:
        history = read(file)
    except UsageError as problem:
        return from_ops([], complete=False), [f"The history cannot be read: {problem}."]
    if history.damage is not None:
        return history, [f"The history is damaged: {history.damage}."]
    if not history.complete:
        sentence = (
            f"The history is not closed: the run is still going on, or it ended before {HISTORY} "
            "was complete. The report shows the part that was recorded."
        )
        return history, [sentence]
    return history, []


def _plan(path: Path, history: History) -> tuple[Plan | None, list[str]]:
    try:
        if path.is_dir() and (path / PLAN).exists():
            return plan_of_run(path, history)[0], []
        if history.plan is not None:
            return parse_plan(history.plan, f"the plan in {path}"), []
    except UsageError as problem:
        return None, [f"The plan cannot be read: {problem}."]
    return None, [f"There is no {PLAN}: the workload and the settings are not known."]


def _analysis(
    path: Path, plan: Plan | None, results: Results | None, read: Callable[[Path], History]
) -> Analysis:
    workload = WORKLOADS[plan.workload if plan is not None else DEFAULT_WORKLOAD]
    if results is not None:
        return Analysis(results, presentation_of(workload))
    try:
        return judge(path, read=read)
    except UsageError as problem:
        unknown = Results(Verdict.UNKNOWN, (f"the run cannot be judged: {problem}",), {})
        return Analysis(unknown, presentation_of(workload))


def _files(folder: Path) -> _Files:
    return _Files(
        facts=read_environment(folder) or {},
        began=_began(folder),
        logs=read_logs(folder / "nodes"),
        incomplete_logs=incomplete_logs(folder / "nodes"),
    )


def _began(folder: Path) -> float | None:
    try:
        return Resumption.read(folder).began
    except UsageError:
        return None


def _missing_files(files: _Files) -> list[str]:
    missing = []
    if not files.facts:
        missing.append(
            f"There is no {ENVIRONMENT}: versions and offsets of clocks were not recorded."
        )
    if not files.logs:
        missing.append("There are no logs of the brokers: they were not collected.")
    elif files.began is None:
        missing.append(
            f"There is no {RESUME} that tells when the history begins, so the lines of the logs "
            "have no place on the timeline."
        )
    return missing


def _stored_verdict(folder: Path, results: Results) -> list[str]:
    """Return whether the run has another verdict on file, or none."""
    try:
        stored = json.loads((folder / RESULTS).read_text(encoding="utf-8"))["verdict"]
    except FileNotFoundError:
        return [f"There is no {RESULTS}: the run did not reach its verdict by itself."]
    except (OSError, *MALFORMED):
        return [f"{RESULTS} cannot be read. The verdict here was reached again."]
    if stored == str(results.verdict):
        return []
    return [
        f"{RESULTS} says {str(stored)[:20]}. This version judges the same history as "
        f"{results.verdict}."
    ]


def _title(path: Path, plan: Plan | None) -> str:
    name = path.resolve().name
    return f"{plan.name} {name}" if plan is not None and path.is_dir() else name


def _settings(plan: Plan | None, facts: Mapping[str, Any]) -> dict[str, str]:
    settings = {}
    versions = {str(known["RabbitMQ"]) for known in _node_facts(facts).values() if known}
    if versions - {"unknown"}:
        settings["RabbitMQ"] = " and ".join(sorted(versions))
    if plan is not None:
        settings["queue type"] = str(plan.queue_type)
        settings["partition handling"] = str(plan.partition_handling)
    return settings


def _environment(
    plan: Plan | None, facts: Mapping[str, Any], began: float | None
) -> dict[str, str]:
    environment = {
        name: str(facts[key])
        for key, name in (
            ("jepsenvm", "jepsenvm"),
            ("python", "Python of the controller"),
            ("controller", "System of the controller"),
        )
        if facts.get(key)
    }
    if plan is not None:
        environment |= {"Workload": plan.workload, "Seed": str(plan.seed)}
    if began is not None:
        environment["The history begins (seconds since 1970)"] = f"{began:.3f}"
    return environment


def _node_facts(facts: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    offsets = _clock_offsets(facts)
    return {
        node: {
            "RabbitMQ": str(entry.get("rabbitmq") or "unknown"),
            "Clock ahead of the controller's": f"{offsets[node]:+.4f} s"
            if node in offsets
            else "unknown",
        }
        for node, entry in _nodes(facts).items()
    }


def _clock_offsets(facts: Mapping[str, Any]) -> dict[str, float]:
    offsets = {node: entry.get("clock-offset-seconds") for node, entry in _nodes(facts).items()}
    return {node: offset for node, offset in offsets.items() if isinstance(offset, int | float)}


def _nodes(facts: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    nodes = facts.get("nodes")
    return {
        str(node): entry if isinstance(entry, dict) else {}
        for node, entry in (nodes if isinstance(nodes, dict) else {}).items()
    }
