"""Faults by hand during a run: another process injects them, and the run's history includes them.

The lock of the cluster names the folder of the run. The other process appends its records to a file
there, and the run reads them as they arrive.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jepsenvm.nemesis.records import FaultRecord, Recorder

SPOOL: Final = "by-hand.jsonl"

FIRST_NUMBER: Final = 100_000
"""The first number of faults by hand. The faults of a schedule are numbered from 1."""


def spooled(folder: Path | None) -> Recorder:
    """Return a recorder for the run in a folder. Without a folder it keeps nothing."""

    def record(entry: FaultRecord) -> None:
        # A run that was refused removes its folder.
        if folder is not None and folder.exists():
            with (folder / SPOOL).open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry.as_data()) + "\n")

    return record


@dataclass
class Spool:
    """The records that other processes append to a run."""

    folder: Path
    _position: int = 0

    def new(self) -> Iterator[FaultRecord]:
        """Yield the records that were appended since the last call."""
        try:
            with (self.folder / SPOOL).open("rb") as file:
                file.seek(self._position)
                lines = file.readlines()
        except FileNotFoundError:
            return
        for line in lines:
            if not line.endswith(b"\n"):
                return  # its writer has not finished it
            self._position += len(line)
            yield FaultRecord(**json.loads(line))
