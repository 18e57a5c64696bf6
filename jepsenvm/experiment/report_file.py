"""Writes the report of a stored run to a file."""

from __future__ import annotations

from pathlib import Path

from jepsenvm import steps
from jepsenvm.experiment.draft import draft_of
from jepsenvm.experiment.store import REPORT
from jepsenvm.experiment.stored_run import load_run
from jepsenvm.report.html import page
from jepsenvm.report.stored_run import StoredRun


def make_report(path: Path, output: Path | None) -> tuple[Path, StoredRun]:
    """Write the report of the run at a path; return its file and what it shows.

    By default it replaces ``report.html`` in the folder of the run. For a history file it is next
    to the file. Raises RunError if it cannot be written.
    """
    run = load_run(path)
    target = output or (path / REPORT if path.is_dir() else path.with_suffix(".report.html"))
    steps.report("drawing the report")
    with draft_of(target) as out:
        out.write(page(run).encode())
    return target, run
