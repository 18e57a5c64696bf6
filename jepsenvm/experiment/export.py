"""Writes a stored history to a file in another format."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from jepsenvm.errors import RunError, UsageError
from jepsenvm.history.export import FORMATS
from jepsenvm.history.table import History


def export_to_file(history: History, format_: str, target: Path, *, overwrite: bool) -> None:
    """Write a history to a file atomically.

    Raises UsageError if the file exists and ``overwrite`` is False, and RunError if writing fails.
    """
    if target.exists() and not overwrite:
        raise UsageError(f"{target}: exists already", remedy="choose another -o, or --force")
    with _draft(target) as out:
        FORMATS[format_](history, out)


@contextlib.contextmanager
def _draft(target: Path) -> Iterator[BinaryIO]:
    """Open a draft next to the target. It replaces the target if the context ends normally."""
    draft = target.with_name(f".{target.name}.draft")
    try:
        with draft.open("wb") as out:
            yield out
        draft.replace(target)
    except OSError as error:
        raise RunError(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        draft.unlink(missing_ok=True)
