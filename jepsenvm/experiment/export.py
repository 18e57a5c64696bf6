"""Writes a stored history to a file in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jepsenvm.errors import UsageError
from jepsenvm.experiment.draft import draft_of
from jepsenvm.history.export import FORMATS
from jepsenvm.history.table import History

CUT_SHORT: Final = "the history is cut short: its writer ended before it closed the file"


def export_to_file(history: History, format_: str, target: Path, *, overwrite: bool) -> None:
    """Write a history to a file atomically.

    Raises UsageError if the file exists and ``overwrite`` is False, and RunError if writing fails.
    """
    if target.exists() and not overwrite:
        raise UsageError(f"{target}: exists already", remedy="choose another -o, or --force")
    with draft_of(target) as out:
        FORMATS[format_](history, out)
