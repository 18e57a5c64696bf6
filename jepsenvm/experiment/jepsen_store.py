"""Writes a run as a store directory of Jepsen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from jepsenvm.errors import UsageError
from jepsenvm.experiment.draft import draft_folder_of
from jepsenvm.experiment.export import CUT_SHORT
from jepsenvm.experiment.judge import JEPSEN_HISTORY, judge
from jepsenvm.experiment.store import HISTORY, INCOMPLETE, PLAN, history_file
from jepsenvm.experiment.stored_run import load_run
from jepsenvm.history.export import write_edn
from jepsenvm.history.readers import open_history
from jepsenvm.report.figure import image
from jepsenvm.report.jepsen_plots import jepsen_plots
from jepsenvm.report.jepsen_timeline import timeline
from jepsenvm.report.results_edn import results_edn
from jepsenvm.report.stored_run import StoredRun

JEPSEN: Final = "jepsen"
"""The name of the format, and the folder that it is written to by default."""

RESULTS: Final = "results.edn"
TIMELINE: Final = "timeline.html"
NODES: Final = "nodes"
"""The logs of the nodes, where `jepsenvm check` finds them: they are a part of the verdict."""


def write_jepsen_store(path: Path, output: Path | None) -> tuple[Path, list[str]]:
    """Write the run at a path to a new folder; return the folder, and what it lacks.

    The folder appears only when it is complete. By default it is ``jepsen`` in the folder of the
    run, or next to the history file. Raises UsageError if the folder exists, the history is not of
    a run of jepsenvm, the run cannot be judged, or the folder cannot be written.
    """
    source = history_file(path)
    target = output or source.parent / JEPSEN
    if os.path.lexists(target):
        raise UsageError(
            f"{target}: exists already", remedy="remove it, or choose another folder with -o"
        )
    if source.suffix != ".arrow" and not open_history(source).own:
        raise UsageError(
            f"{source}: another tool recorded this history",
            remedy=f"--format {JEPSEN} writes runs of jepsenvm; use another format",
        )
    if source.name == HISTORY and (source.parent / PLAN).exists():
        path = source.parent  # the run, as `jepsenvm check` takes it
    # First the verdict, then the history: of a run in progress, the files then have at least the
    # ops that were judged.
    results = judge(path).results
    run = load_run(path, results)
    with draft_folder_of(target) as draft:
        missing = list(_write(run, source.parent / NODES, draft))
    return target, missing


def _write(run: StoredRun, logs: Path, folder: Path) -> Iterator[str]:
    """Write the files; yield what is missing from the history, and why a plot is not written."""
    history = run.history
    if history.plan is None and run.plan:
        # Runs of older versions have their plan in a file only. Without it, the exported run would
        # not be judged by its own limits.
        history = replace(history, plan=run.plan)
    with (folder / JEPSEN_HISTORY).open("wb") as out:
        write_edn(history, out)
    if not history.complete:
        yield CUT_SHORT
    (folder / RESULTS).write_text(results_edn(run.results), encoding="utf-8")
    for name, plot in jepsen_plots(run):
        if isinstance(plot, str):
            yield f"{name}.png is not written: {plot}"
        else:
            (folder / f"{name}.png").write_bytes(image(plot, "png"))
    (folder / TIMELINE).write_text(timeline(run), encoding="utf-8")
    _copy_logs(logs, folder / NODES)


def _copy_logs(logs: Path, target: Path) -> None:
    for file in sorted([*logs.glob("*/*.log*"), *logs.glob(f"*/{INCOMPLETE}")]):
        copy = target / file.relative_to(logs)
        for parent in (target, copy.parent):
            parent.mkdir(mode=0o700, exist_ok=True)  # as private as in the store
        shutil.copyfile(file, copy)
