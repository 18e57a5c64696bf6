"""Faults by hand during a run: another process injects them, and the run's history includes them.

The lock of the cluster names the folder of the run. The other process appends its records to a file
there, and the run reads them as they arrive.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import MALFORMED, UsageError, shown
from jepsenvm.history.nemesis_records import BEFORE, START, STOP, VIEW
from jepsenvm.nemesis.records import FaultRecord, Recorder
from jepsenvm.nemesis.registry import fault_from_data

logger = logging.getLogger(__name__)

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
            try:
                entry = _checked(json.loads(line))
            except (*MALFORMED, UsageError) as problem:
                logger.info(
                    f"{SPOOL}: a record was not understood, and is skipped: {shown(problem)}"
                )
                continue
            yield entry


def _checked(data: Any) -> FaultRecord:
    """Return the record in a line of the spool; raise one of MALFORMED for anything else."""
    entry = FaultRecord(**data)
    # A number below is that of a fault of the schedule.
    if not isinstance(entry.number, int) or entry.number < FIRST_NUMBER:
        raise ValueError("its number is not that of a fault by hand")
    if entry.f not in (START, STOP, VIEW) or not isinstance(entry.phase, str):
        raise ValueError("its phase is unknown")
    if not isinstance(entry.error, str | None):
        raise TypeError("its error is not a text")
    if entry.fault["text"] != fault_from_data(entry.fault).text:
        raise ValueError("its fault has no text")
    for seconds in entry.fired.values():
        float(seconds)
    if not isinstance(entry.proof.get(BEFORE, {}), dict):
        raise TypeError("its evidence is not a mapping")
    return entry
