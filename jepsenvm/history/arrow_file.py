"""Open a journal's file, once it is known to be undamaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from jepsenvm.errors import UsageError, shorten
from jepsenvm.history.checksums import VERSION, Extent, begins_like_arrow, has_checksums, verify
from jepsenvm.history.table import History, history_of_stream
from jepsenvm.history.vetting import vet


def open_arrow(path: Path) -> History:
    """Return the history in a journal's file, which is read chunk by chunk.

    A damaged file gives the ops before the damage. Raises UsageError if the file is not a journal
    of jepsenvm.
    """
    try:
        # The file is mapped once for all passes: its pages are shared by them, and the kernel can
        # drop the pages when it needs the memory.
        mapped = pa.memory_map(str(path)).read_buffer()
    except (OSError, pa.ArrowInvalid) as problem:
        raise UsageError(f"{path}: cannot be read: {shorten(problem, 200)}") from None
    file = memoryview(mapped)
    if has_checksums(file):
        return _opened(path, mapped, verify(file), version=VERSION)
    if not begins_like_arrow(file):
        raise UsageError(f"{path}: not a history of jepsenvm: it does not begin like one")
    return _opened(path, mapped, vet(path), version=b"history 1")


_OF_FORMAT: Final = (b"jepsenvm", b"type")
"""The keys of the metadata that describe the file's format, and not the run."""


def _opened(path: Path, mapped: pa.Buffer, extent: Extent, version: bytes) -> History:
    """Return the history in the part of a file that is known to be undamaged."""
    damage = extent.damage
    stream = mapped.slice(0, extent.end)
    try:
        metadata = pa.ipc.open_stream(stream).schema.metadata or {}
    except (OSError, pa.ArrowInvalid) as problem:
        reason = damage or ("it is cut short before its first op" if extent.end == 0 else problem)
        raise UsageError(
            f"{path}: not a history of jepsenvm, or damaged: {shorten(reason, 200)}"
        ) from None
    if b"jepsenvm" not in metadata:
        raise UsageError(f"{path}: an Arrow stream, but not a history of jepsenvm")
    if metadata[b"jepsenvm"] != version:
        damage = damage or f"it says {metadata[b'jepsenvm']!r} but was written otherwise"
    about = {
        key.decode(): value.decode() for key, value in metadata.items() if key not in _OF_FORMAT
    }
    return replace(
        history_of_stream(stream),
        complete=extent.complete and damage is None,
        damage=damage,
        plan=about.pop("plan", None),
        about=about,
    )
