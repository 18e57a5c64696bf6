"""The segments of a run's journal: the first, and one more for each time the run was resumed.

The segments of ``history.arrow`` are ``history-2.arrow``, ``history-3.arrow`` and so on, in the
same folder. Load processes have segments of their own; see ``load_segments``. When a run has ended,
``compaction`` rewrites those that were closed; otherwise a segment is never modified after its
writer has ended. ``history.segments`` keeps the sizes of segments whose writers were killed, so
that a segment that is cut short later is noticed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from jepsenvm.errors import RunError
from jepsenvm.history.arrow_file import open_arrow
from jepsenvm.history.load_segments import (
    LoadSegment,
    load_segment_files,
    load_segments_of,
    numbered_files,
    open_load_segments,
    require_first,
)
from jepsenvm.history.table import Chunk, History

FIRST: Final = "history.arrow"
"""The name of a first segment. A file with another name has no further segments."""

SIZES: Final = "history.segments"

_LATER: Final = re.compile(r"history-([1-9][0-9]{0,8})\.arrow")


def segments(first: Path) -> list[Path]:
    """Return the segments of a journal in their order, beginning with the first."""
    if first.name != FIRST:
        return [first]
    return [first, *numbered_files(first.parent, _LATER)]


def next_segment(first: Path) -> Path:
    """Return the path of a new segment, after recording the sizes of those that have ended.

    Raises RunError if the disk refuses that.
    """
    ended = segments(first)
    record_sizes(first, [*ended, *load_segment_files(first)])
    return _numbered(first, len(ended) + 1)


def record_sizes(first: Path, ended: Sequence[Path]) -> None:
    """Record the sizes of segments whose writers have ended. A size is recorded once.

    Raises RunError if the disk refuses that.
    """
    file, draft = first.with_name(SIZES), first.with_name(f".{SIZES}")
    sizes = {path.name: path.stat().st_size for path in ended}
    try:
        draft.write_text(json.dumps({**sizes, **recorded_sizes(first)}) + "\n", encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        raise RunError(
            f"cannot write {file}: {error.strerror}", remedy="free some disk space and try again"
        ) from error


def open_journal(first: Path) -> History:
    """Return the history in a journal with all of its segments.

    It is complete if its last segment and those of its load processes are, and no earlier one has
    changed since its writer ended. Raises UsageError if a segment is not a journal.
    """
    paths, sizes = segments(first), recorded_sizes(first)
    # A writer that was killed before its first flush leaves an empty file.
    parts = [open_arrow(path) for path in paths if path == first or path.stat().st_size]
    require_first(first, parts[0])
    load = open_load_segments(first, parts[0], sizes)
    if load is not None:
        parts[0] = load.merged_with(parts[0])
    if len(paths) == 1:
        whole = parts[0]
    else:
        closed = paths[-1].stat().st_size > 0
        unchanged = _unchanged(paths, sizes, load_segments_of(parts[0]))
        whole = _joined(parts, may_be_complete=closed and unchanged)
    return whole if load is None else load.judged(whole)


def _numbered(first: Path, number: int) -> Path:
    return first.with_name(f"{first.stem}-{number}{first.suffix}")


def recorded_sizes(first: Path) -> dict[str, int]:
    """Return the recorded sizes of segments by name; none if they cannot be read."""
    try:
        sizes = json.loads(first.with_name(SIZES).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return sizes if isinstance(sizes, dict) else {}


def _unchanged(
    paths: Sequence[Path], sizes: Mapping[str, int], load: Sequence[LoadSegment]
) -> bool:
    """Return whether all segments are there, each with its recorded size but the last.

    ``load`` are the segments of load processes, which are not among these.
    """
    first, ended = paths[0], paths[:-1]
    consecutive = [first, *(_numbered(first, number) for number in range(2, len(paths) + 1))]
    of_load = {segment.name for segment in load}
    recorded = {name: size for name, size in sizes.items() if name not in of_load}
    return paths == consecutive and recorded == {path.name: path.stat().st_size for path in ended}


def _joined(parts: Sequence[History], *, may_be_complete: bool) -> History:
    def chunks(whole: History) -> Iterator[Chunk]:
        whole.share_names(parts)
        for part in parts:
            yield from part

    # What the first segment says about the run holds for all.
    return replace(
        parts[0],
        _chunks=chunks,
        names=[],
        nodes=[],
        complete=may_be_complete and parts[-1].complete,
        damage=next((part.damage for part in parts if part.damage is not None), None),
    )
