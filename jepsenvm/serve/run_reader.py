"""Reads the facts of runs from their small files, never from the history."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

from jepsenvm.checkers.outcome import Outcome, outcome_of
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.errors import MALFORMED, UsageError, shorten
from jepsenvm.experiment.environment import read_environment
from jepsenvm.experiment.store import LOG, PLAN, RESULTS
from jepsenvm.experiment.stored_outcome import cluster_in
from jepsenvm.plan.reading import read
from jepsenvm.serve.place import Place
from jepsenvm.serve.plain_files import odd_files
from jepsenvm.serve.run_facts import RunFacts
from jepsenvm.workloads.registry import WORKLOADS


class RunReader:
    """Reads the facts of runs, and keeps them until the files change. Any thread may read."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, RunFacts]] = {}
        self._lock = Lock()

    def facts(self, places: Iterable[Place]) -> list[RunFacts]:
        """Return the facts of these runs. A run that disappears meanwhile is left out."""
        found = []
        for place in places:
            try:
                found.append(self._facts(place))
            except FileNotFoundError:
                continue
        return found

    def _facts(self, place: Place) -> RunFacts:
        stamp, written = _stamp(place.folder)
        with self._lock:
            known = self._known.get(place.key)
        if known is None or known[0] != stamp:
            known = stamp, _read(place, written)
            with self._lock:
                self._known[place.key] = known
        return replace(known[1], written=written)


def _stamp(folder: Path) -> tuple[object, float]:
    """Return what changes with the files of a run that are read, and when any changed last."""
    files = dict(_files(folder))
    read_files = {name for name in files if not name.startswith((".", "history"))}
    return (
        sorted((name, files[name].st_mtime_ns, files[name].st_size) for name in read_files),
        max((file.st_mtime for file in files.values()), default=folder.stat().st_mtime),
    )


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # a draft that was renamed meanwhile
                yield entry.name, entry.stat(follow_symlinks=False)


def _read(place: Place, written: float) -> RunFacts:
    folder = place.folder
    problems: list[str] = []
    odd = next(odd_files(folder), None)
    if odd is not None:
        return RunFacts(place, written, problems=(f"{odd} is no file: this run is not read.",))
    plan = _plan(folder, problems)
    workload = str(plan.get("workload") or "")
    results = _results(folder, problems)
    return RunFacts(
        place,
        written,
        workload=workload,
        nemeses=_nemeses(plan),
        versions=_versions(folder),
        plan=plan,
        results=results,
        verdict=_verdict(results),
        outcome=_outcome(results, workload),
        problems=tuple(problems),
    )


def _plan(folder: Path, problems: list[str]) -> Mapping[str, object]:
    file = folder / PLAN
    if not file.exists():
        problems.append(f"There is no {PLAN}: the workload and the settings are not known.")
        return {}
    try:
        return read(file.read_text(encoding="utf-8"), PLAN)
    except UsageError as problem:
        reason = str(problem)
    except (OSError, ValueError) as problem:
        reason = shorten(problem, 200)
    problems.append(f"The plan cannot be read: {reason}.")
    return {}


def _results(folder: Path, problems: list[str]) -> Mapping[str, Any]:
    file = folder / RESULTS
    if not file.exists():
        problems.append(f"There is no {RESULTS}: the run has no verdict yet, or was cut short.")
        return {}
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, *MALFORMED):
        results = None
    if not isinstance(results, dict) or not _verdict(results):
        problems.append(f"{RESULTS} cannot be read, or an older version wrote it.")
        return {}
    return results


def _verdict(results: Mapping[str, Any]) -> str:
    verdict = results.get("verdict")
    return verdict if isinstance(verdict, str) and verdict in tuple(Verdict) else ""


def _outcome(results: Mapping[str, Any], workload: str) -> Outcome | None:
    if workload not in WORKLOADS:
        return None
    try:
        return outcome_of(results, WORKLOADS[workload].main_checker)
    except MALFORMED:
        return None


def _nemeses(plan: Mapping[str, object]) -> tuple[str, ...]:
    schedule, nemesis = plan.get("schedule"), plan.get("nemesis")
    if isinstance(schedule, list):
        named = [item.get("fault") for item in schedule if isinstance(item, dict)]
    else:
        named = nemesis if isinstance(nemesis, list) else [nemesis]
    return tuple(dict.fromkeys(str(name) for name in named if name is not None))


def _versions(folder: Path) -> tuple[str, ...]:
    nodes = (read_environment(folder) or {}).get("nodes")
    of_nodes = nodes.values() if isinstance(nodes, dict) else ()
    known = {str(node["rabbitmq"]) for node in of_nodes if _has_version(node)}
    if not known and (in_log := cluster_in(folder / LOG)[0]):
        known = {in_log}
    return tuple(sorted(known))


def _has_version(node: object) -> bool:
    return isinstance(node, dict) and bool(node.get("rabbitmq"))
