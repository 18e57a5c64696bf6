"""Faults by hand while a run is going on: another process makes them, and the run's history has them all the same.

The run says where its folder is; the other process appends its notes to a file there; the run reads them as they come.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jepsenvm.errors import UsageError
from jepsenvm.machines.inventory import Inventory
from jepsenvm.nemesis.records import FaultRecord, Record

SPOOL: Final = "by-hand.jsonl"

FIRST_NUMBER: Final = 100_000
"""Faults by hand are numbered from here on, those of a schedule from 1."""


def sign(inventory: Inventory) -> Path:
    """Return the file that says which run is going on with these machines."""
    return inventory.secrets_dir.with_suffix(".running")


@contextmanager
def announced(inventory: Inventory, folder: Path) -> Iterator[None]:
    """Say as long as the context is open that a run is going on; raise UsageError when another one is."""
    other = running(inventory)
    if other is not None:
        raise UsageError(
            f"another run is going on with these machines: {other}", remedy="wait for it, or end it"
        )
    file = sign(inventory)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        json.dumps({"pid": os.getpid(), "folder": str(folder.resolve())}), encoding="utf-8"
    )
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def running(inventory: Inventory) -> Path | None:
    """Return the folder of the run that is going on with these machines, if any is and its process lives."""
    try:
        said = json.loads(sign(inventory).read_text(encoding="utf-8"))
        os.kill(said["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    return Path(said["folder"])


def spooled(folder: Path | None) -> Record:
    """Return what records notes for a run that is going on; without one they are not kept."""

    def record(note: FaultRecord) -> None:
        # A run that was refused after all takes its folder with it.
        if folder is not None and folder.exists():
            with (folder / SPOOL).open("a", encoding="utf-8") as file:
                file.write(json.dumps(note.as_data()) + "\n")

    return record


@dataclass
class Spool:
    """The reading end."""

    folder: Path
    _read: int = 0

    def new(self) -> Iterator[FaultRecord]:
        """Yield the notes that have been appended since the last call."""
        try:
            with (self.folder / SPOOL).open("rb") as file:
                file.seek(self._read)
                lines = file.readlines()
        except FileNotFoundError:
            return
        for line in lines:
            if not line.endswith(b"\n"):
                return
            self._read += len(line)
            yield FaultRecord(**json.loads(line))
