"""The store of runs: ``store/<name>/<UTC time>/``; ``store/latest`` links to the newest run."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jepsenvm.checkers.verdict import Results
from jepsenvm.errors import UsageError
from jepsenvm.private_files import replace_private, write_private

if TYPE_CHECKING:
    from jepsenvm.plan.plan import Plan  # a check of another program's history needs no plan

PLAN: Final = "plan.yml"
HISTORY: Final = "history.arrow"
RESULTS: Final = "results.json"
LOG: Final = "jepsenvm.log"
REPORT: Final = "report.html"
ENVIRONMENT: Final = "environment.json"
INCOMPLETE: Final = "incomplete.txt"
"""The file in a node's folder that says why lines of the run are missing from its logs."""

MIN_FREE_BYTES: Final = 200_000_000


@dataclass(frozen=True)
class Store:
    """The folder of one run."""

    path: Path

    @property
    def history(self) -> Path:
        """The file of the history."""
        return self.path / HISTORY

    def begin(self) -> None:
        """Link ``latest`` to this run."""
        link = self.path.parent.parent / "latest"
        draft = link.with_name(f".latest-{os.getpid()}")
        draft.unlink(missing_ok=True)
        draft.symlink_to(self.path.relative_to(link.parent))
        draft.replace(link)

    @property
    def begun(self) -> bool:
        """Whether the run has a history."""
        return self.history.exists()

    def discard(self) -> None:
        """Remove the folder of a run that was refused before it began."""
        shutil.rmtree(self.path)

    def node(self, node: str) -> Path:
        """Return the folder for the logs of a node; create it if necessary."""
        folder = self.path / "nodes" / node
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def write_results(self, results: Results) -> None:
        """Write results.json atomically."""
        self.write(RESULTS, json.dumps(results.as_data(), indent=2) + "\n")

    def write_plan(self, plan: Plan) -> None:
        """Write plan.yml atomically. Only its owner can read it, as when the folder was made."""
        replace_private(self.path / PLAN, plan.to_yaml())

    def write(self, name: str, text: str) -> Path:
        """Write a file of the run atomically; return its path."""
        draft = self.path / f".{name}"
        draft.write_text(text, encoding="utf-8")
        return draft.replace(self.path / name)


def create(root: Path, plan: Plan) -> Store:
    """Create the folder of a new run with its plan; raise UsageError if the disk is full."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    path = root / plan.name / now
    try:
        path.mkdir(parents=True)
        free = shutil.disk_usage(path).free
        if free < MIN_FREE_BYTES:
            path.rmdir()
            raise UsageError(
                f"{root}: only {free // 1_000_000} MB free, a run needs "
                f"{MIN_FREE_BYTES // 1_000_000}",
                remedy="free some space or choose another --store",
            )
        write_private(path / PLAN, plan.to_yaml())
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror}", remedy="choose another --store"
        ) from None
    return Store(path)


def history_file(path: Path) -> Path:
    """Return the history in the folder of a run, or the file itself if it is not a folder."""
    file = path / HISTORY if path.is_dir() else path
    if not file.exists():
        raise UsageError(f"{file}: there is no such history")
    return file
