"""Where a run is kept: ``store/<name>/<UTC time>/``, and ``store/latest`` pointing to the newest."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jepsenvm.checkers.verdict import Results
from jepsenvm.errors import UsageError
from jepsenvm.plan.plan import Plan

PLAN: Final = "plan.yml"
HISTORY: Final = "history.arrow"
RESULTS: Final = "results.json"
LOG: Final = "jepsenvm.log"
REPORT: Final = "report.html"

ENOUGH_BYTES: Final = 200_000_000


@dataclass(frozen=True)
class Store:
    """One run's folder."""

    path: Path

    @property
    def history(self) -> Path:
        """The history's file."""
        return self.path / HISTORY

    def begin(self) -> None:
        """Let ``latest`` point to this run: from now on there is something to read."""
        link = self.path.parent.parent / "latest"
        draft = link.with_name(f".latest-{os.getpid()}")
        draft.unlink(missing_ok=True)
        draft.symlink_to(self.path.relative_to(link.parent))
        draft.replace(link)

    @property
    def begun(self) -> bool:
        """Whether the run has anything to show."""
        return self.history.exists()

    def discard(self) -> None:
        """Remove the folder of a run that was refused before it began."""
        shutil.rmtree(self.path)

    def node(self, node: str) -> Path:
        """Return the folder for a node's logs, made if need be."""
        folder = self.path / "nodes" / node
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def write_results(self, results: Results) -> None:
        """Write results.json, whole or not at all."""
        self.write(RESULTS, json.dumps(results.as_data(), indent=2, default=str) + "\n")

    def write(self, name: str, text: str) -> Path:
        """Write a file of the run, whole or not at all; return its path."""
        draft = self.path / f".{name}"
        draft.write_text(text, encoding="utf-8")
        return draft.replace(self.path / name)


def create(root: Path, plan: Plan) -> Store:
    """Make the folder of a new run, with its plan in it; raise UsageError when the disk cannot take it."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    path = root / plan.name / now
    try:
        path.mkdir(parents=True)
        free = shutil.disk_usage(path).free
        if free < ENOUGH_BYTES:
            path.rmdir()
            raise UsageError(
                f"{root}: only {free // 1_000_000} MB free, a run wants {ENOUGH_BYTES // 1_000_000}",
                remedy="free some space or choose another --store",
            )
        (path / PLAN).write_text(plan.to_yaml(), encoding="utf-8")
    except OSError as problem:
        raise UsageError(
            f"{path}: cannot be written: {problem.strerror}", remedy="choose another --store"
        ) from None
    return Store(path)
