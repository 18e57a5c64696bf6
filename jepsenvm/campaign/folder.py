"""The folder of a campaign: its planned runs, and one record for each run.

Every file is replaced atomically and synced, so a campaign that is killed at any moment finds the
last state that it wrote.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from jepsenvm.campaign.planned import Expansion, LeftOut, PlannedRun
from jepsenvm.campaign.record import Record
from jepsenvm.errors import MALFORMED, RunError, UsageError, shorten
from jepsenvm.experiment.store import MIN_FREE_BYTES
from jepsenvm.synced_folder import sync_folder

RUNS: Final = "runs"
FILE: Final = "campaign.json"
RECORD: Final = "record.json"
PLAN: Final = "plan.yml"
REPORT: Final = "report.html"
LOCK: Final = ".lock"


class StoreError(RunError):
    """The folder of the campaign cannot be written: its disk is full, or it is not allowed."""


class Folder:
    """The folder of a campaign on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from running the campaign while the context is open."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / LOCK).open("w", encoding="utf-8")
        except OSError as error:
            raise _cannot_write(self.path, error) from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(
                    f"{self.path}: another process runs this campaign",
                    remedy="wait until it ends, or choose another --dir",
                ) from None
            yield

    def require_room(self) -> None:
        """Raise StoreError if there is no room for another run."""
        free = shutil.disk_usage(self.path).free
        if free < MIN_FREE_BYTES:
            raise StoreError(
                f"{self.path}: only {free // 1_000_000} MB free, a run needs "
                f"{MIN_FREE_BYTES // 1_000_000}",
                remedy="free some space and run the same command again: it goes on from here",
            )

    def begin(self, name: str, expansion: Expansion) -> None:
        """Write the planned runs; raise UsageError if the folder has results of other runs."""
        planned = {run.id for run in expansion.runs}
        others = sorted(self.recorded() - planned)
        if others:
            raise UsageError(
                f"{self.path} has {len(others)} results of runs that are not in this campaign, "
                f"such as {shorten(others[0])}",
                remedy="choose another --dir; a campaign may get more runs, but keeps those it had",
            )
        for run in expansion.runs:
            self.write_plan(run)
        data = {
            "name": name,
            "runs": [run.as_data() for run in expansion.runs],
            "left-out": [asdict(one) for one in expansion.left_out],
            "excluded": expansion.excluded,
        }
        self._write(self.path / FILE, json.dumps(data, indent=1) + "\n")

    def name(self) -> str:
        """Return the name of the campaign."""
        return str(self._read()["name"])

    def expansion(self) -> Expansion:
        """Return the planned runs; raise UsageError if this is no folder of a campaign."""
        data = self._read()
        try:
            return Expansion(
                tuple(map(PlannedRun.from_data, data["runs"])),
                tuple(LeftOut(**one) for one in data["left-out"]),
                int(data["excluded"]),
            )
        except MALFORMED:
            raise _damaged(self.path / FILE) from None

    def recorded(self) -> set[str]:
        """Return the ids of the runs that have a record."""
        return {file.parent.name for file in (self.path / RUNS).glob(f"*/{RECORD}")}

    def record(self, run_id: str) -> Record:
        """Return the record of a run; an empty one if it has none."""
        file = self._of_run(run_id) / RECORD
        try:
            return Record.from_data(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Record()
        except OSError as error:
            raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
        except MALFORMED:
            raise _damaged(file) from None

    def records(self, runs: Sequence[PlannedRun]) -> Mapping[str, Record]:
        """Return the record of each run."""
        return {run.id: self.record(run.id) for run in runs}

    def save(self, run_id: str, record: Record) -> None:
        """Replace the record of a run."""
        text = json.dumps(record.as_data(), indent=1) + "\n"
        self._write(self._of_run(run_id) / RECORD, text)

    def write_plan(self, run: PlannedRun) -> None:
        """Write the plan file of a run."""
        self._write(self.plan_of(run.id), run.plan)

    def plan_of(self, run_id: str) -> Path:
        """Return the plan file of a run."""
        return self._of_run(run_id) / PLAN

    def attempt(self, run_id: str, number: int) -> Path:
        """Return the folder of an attempt, which is the store of its run."""
        return self._of_run(run_id) / f"attempt-{number}"

    def write(self, name: str, text: str) -> Path:
        """Write a file of the campaign; return its path."""
        self._write(self.path / name, text)
        return self.path / name

    def _of_run(self, run_id: str) -> Path:
        return self.path / RUNS / run_id

    def _read(self) -> Mapping[str, Any]:
        file = self.path / FILE
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(
                f"{self.path}: not the folder of a campaign: {FILE}: {error.strerror}",
                remedy="give the folder that `jepsenvm campaign run` named",
            ) from None
        except MALFORMED:
            raise _damaged(file) from None
        if not isinstance(data, dict):
            raise _damaged(file)
        return data

    def _write(self, path: Path, text: str) -> None:
        """Replace a file so that a crash or a full disk leaves the old one."""
        draft = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path}: cannot be written: {error.strerror}",
        remedy="free some space or correct the permissions, and run the same command again: "
        "it goes on from here",
    )


def _damaged(file: Path) -> UsageError:
    return UsageError(f"{file}: damaged", remedy="remove it; its runs are then repeated")
