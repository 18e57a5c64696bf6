"""Open a journal's file, once it is known to be undamaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from jepsenvm.errors import UsageError, shorten
from jepsenvm.history.checksums import (
    COMPACT,
    VERSION,
    Extent,
    begins_like_arrow,
    has_checksums,
    verify,
)
from jepsenvm.history.compact import history_of_compact_stream
from jepsenvm.history.table import History, history_of_stream
from jepsenvm.history.vetting import vet

WITHOUT_CHECKSUMS: Final = b"history 1"


@dataclass(frozen=True)
class ArrowFile:
    """The part of a journal's file that is known to be undamaged."""

    stream: pa.Buffer
    metadata: Mapping[bytes, bytes]
    """That of the schema."""
    complete: bool
    damage: str | None

    @property
    def version(self) -> bytes:
        """The version of its format."""
        return self.metadata[b"jepsenvm"]


def open_arrow(path: Path) -> History:
    """Return the history in a journal's file, which is read chunk by chunk.

    A damaged file gives the ops before the damage. Raises UsageError if the file is not a journal
    of jepsenvm.
    """
    file = read_arrow(path)
    of_stream = history_of_compact_stream if file.version == COMPACT else history_of_stream
    about = {
        key.decode(): value.decode()
        for key, value in file.metadata.items()
        if key not in _OF_FORMAT
    }
    return replace(
        of_stream(file.stream),
        complete=file.complete,
        damage=file.damage,
        plan=about.pop("plan", None),
        about=about,
    )


_OF_FORMAT: Final = (b"jepsenvm", b"type")
"""The keys of the metadata that describe the file's format, and not the run."""


def read_arrow(path: Path) -> ArrowFile:
    """Return the undamaged part of a journal's file; raise UsageError if it is not a journal."""
    try:
        # The file is mapped once for all passes: its pages are shared by them, and the kernel can
        # drop the pages when it needs the memory.
        mapped = pa.memory_map(str(path)).read_buffer()
    except (OSError, pa.ArrowInvalid) as problem:
        raise UsageError(f"{path}: cannot be read: {shorten(problem, 200)}") from None
    file = memoryview(mapped)
    if has_checksums(file):
        return _undamaged(path, mapped, verify(file), (VERSION, COMPACT))
    if not begins_like_arrow(file):
        raise UsageError(f"{path}: not a history of jepsenvm: it does not begin like one")
    return _undamaged(path, mapped, vet(path), (WITHOUT_CHECKSUMS,))


def _undamaged(
    path: Path, mapped: pa.Buffer, extent: Extent, versions: tuple[bytes, ...]
) -> ArrowFile:
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
    if metadata[b"jepsenvm"] not in versions:
        damage = damage or f"it says {metadata[b'jepsenvm']!r} but was written otherwise"
    return ArrowFile(stream, metadata, extent.complete and damage is None, damage)
