"""Rewrite the files of a run that has ended in their compact form; see ``compact``.

The compact file is written beside the journal, synced, read back and compared with the journal, and
then renamed over it. So a whole history is there at every moment, and a failure changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from jepsenvm.errors import shorten
from jepsenvm.history.arrow_file import ArrowFile, read_arrow
from jepsenvm.history.arrow_stream import ArrowStream, RawFile, create_file
from jepsenvm.history.checksums import VERSION
from jepsenvm.history.compact import NAMES, compact_schema, compacted, differing_columns
from jepsenvm.history.load_segments import load_segment_files
from jepsenvm.history.segments import recorded_sizes, segments
from jepsenvm.history.table import joined_tables, read_batches
from jepsenvm.synced_folder import sync_folder

logger = logging.getLogger(__name__)


def compact_run(first: Path, create: Callable[[Path], RawFile] = create_file) -> None:
    """Rewrite the closed segments of a run's history in their compact form.

    Files that are cut short, damaged or already compact are left as they are. If a file cannot be
    rewritten, for example because the disk is full, it is also left, and the log says why.
    """
    # A segment whose size is recorded must keep it.
    recorded = recorded_sizes(first)
    for path in [*segments(first), *load_segment_files(first)]:
        if path.name not in recorded:
            _compact_if_possible(path, create)


def _compact_if_possible(path: Path, create: Callable[[Path], RawFile]) -> None:
    draft = path.with_name(f".{path.name}")
    try:
        draft.unlink(missing_ok=True)  # of a run that was killed here
        _compact(path, draft, create)
    # The run has its history already, so nothing that happens here may end it.
    except Exception as problem:
        logger.info(f"{path.name} is not stored in less space: {shorten(problem, 200)}")
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _compact(path: Path, draft: Path, create: Callable[[Path], RawFile]) -> None:
    journal = read_arrow(path)
    if journal.version != VERSION or not journal.complete:
        return
    file = create(draft)
    try:
        _write(journal, file)
    finally:
        file.close()
    _require_same(journal, read_arrow(draft))
    draft.replace(path)
    # Without this, a power failure may undo the renaming, which leaves the journal.
    with suppress(OSError):
        sync_folder(path.parent)


def _write(journal: ArrowFile, file: RawFile) -> None:
    stream = ArrowStream(file, schema := _schema(journal))
    for table in joined_tables(journal.stream):
        stream.write_batch(compacted(table, schema))
    stream.end()


def _schema(journal: ArrowFile) -> pa.Schema:
    names, has_offsets = dict.fromkeys(NAMES, 0), False
    for batch in read_batches(journal.stream):
        # Names are only ever added.
        names = {name: len(batch[name].dictionary) for name in NAMES}
        has_offsets |= batch["offset"].null_count < len(batch)
    return compact_schema(journal.metadata, names=names, has_offsets=has_offsets)


def _require_same(journal: ArrowFile, written: ArrowFile) -> None:
    """Raise ValueError unless a compact file has exactly the ops of a journal."""
    if not written.complete:
        raise ValueError(f"it was not written completely: {written.damage}")
    pairs = zip(joined_tables(journal.stream), read_batches(written.stream), strict=True)
    for table, batch in pairs:
        if different := differing_columns(table, batch):
            raise ValueError(f"it has another {' and another '.join(different)}")
