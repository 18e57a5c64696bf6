"""The segments that the load processes of a run write beside its history, one for each process.

The first segment of the history lists their names with an id for each, and each segment has its id.
So a segment that is missing, belongs to another run or is a copy of another segment is noticed.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from jepsenvm.errors import UsageError, shorten
from jepsenvm.history.arrow_file import open_arrow
from jepsenvm.history.merge import merged
from jepsenvm.history.table import Chunk, History

LOAD_SEGMENTS: Final = "load-segments"
"""The metadata of a first segment: the ids of the load processes' segments, by name, as JSON."""

LOAD_SEGMENT: Final = "load-segment"
"""The metadata of a load process's segment: its id."""

_NAME: Final = re.compile(r"history-load-([1-9][0-9]{0,8})\.arrow")


@dataclass(frozen=True)
class LoadSegment:
    """The segment of one load process."""

    name: str
    """The name of its file, which is beside the first segment."""
    id: str

    @property
    def about(self) -> Mapping[str, str]:
        """What the segment says about itself."""
        return {LOAD_SEGMENT: self.id}


def new_load_segments(processes: int) -> list[LoadSegment]:
    """Return new segments for this number of load processes."""
    return [
        LoadSegment(f"history-load-{number}.arrow", uuid.uuid4().hex)
        for number in range(1, processes + 1)
    ]


def about_load_segments(segments: Sequence[LoadSegment]) -> Mapping[str, str]:
    """Return what a first segment says about the segments of its load processes, if any."""
    if not segments:
        return {}
    return {LOAD_SEGMENTS: json.dumps({segment.name: segment.id for segment in segments})}


def load_segments_of(first: History) -> list[LoadSegment]:
    """Return the segments that a first segment lists; raise UsageError if it has no list."""
    text = first.about.get(LOAD_SEGMENTS, "{}")
    try:
        ids = json.loads(text)
        if all(_NAME.fullmatch(name) and isinstance(id_, str) for name, id_ in ids.items()):
            return [LoadSegment(name, id_) for name, id_ in ids.items()]
    except (ValueError, AttributeError, RecursionError):
        pass
    raise UsageError(f"not a history of jepsenvm: its list of segments is {shorten(text)}")


def load_segment_files(first: Path) -> list[Path]:
    """Return the files beside a first segment that are named like those of load processes."""
    return numbered_files(first.parent, _NAME)


def numbered_files(folder: Path, name: re.Pattern[str]) -> list[Path]:
    """Return the files of a folder whose names match, by the number in the first group."""
    numbers = {
        int(match[1]): path for path in folder.iterdir() if (match := name.fullmatch(path.name))
    }
    return [numbers[number] for number in sorted(numbers)]


@dataclass(frozen=True)
class LoadParts:
    """The opened segments of a run's load processes."""

    histories: Sequence[History]
    """Those that are there and belong to the run."""
    damage: str | None
    """Why one of them is missing, foreign or damaged; None if none is."""
    unclosed: str | None
    """Which one has no end mark, because its process was killed; None if none is."""
    unchanged: bool
    """Whether each segment without an end mark has its recorded size."""

    def merged_with(self, first: History) -> History:
        """Return the ops of a first segment and of these, by time. ``complete`` stays."""
        parts = [first, *self.histories]

        def chunks(whole: History) -> Iterator[Chunk]:
            whole.share_names(parts)
            yield from merged(parts)

        return replace(first, _chunks=chunks, names=[], nodes=[])

    def judged(self, whole: History) -> History:
        """Return a merged history that is damaged or incomplete if one of these is.

        Other segments may have the delivery of a message whose enqueue is missing here. A segment
        that is cut short is harmless only if the run went on afterwards and recorded what was
        missing: then its size is recorded, and the whole history is complete.
        """
        damage = self.damage or whole.damage
        if self.unclosed and not (self.unchanged and whole.complete):
            damage = damage or f"{self.unclosed} is cut short: its process did not close it"
        return replace(whole, complete=whole.complete and damage is None, damage=damage)


def open_load_segments(first: Path, history: History, sizes: Mapping[str, int]) -> LoadParts | None:
    """Open the segments that a first segment lists; return None if it lists none.

    ``sizes`` are the recorded sizes of segments, by name.
    """
    listed = load_segments_of(history)
    histories, problems, unclosed, unchanged = [], list[str](), list[str](), True
    for segment in listed:
        path = first.with_name(segment.name)
        part = _opened(path, segment)
        if isinstance(part, str):
            problems.append(part)
            continue
        histories.append(part)
        if part.damage is not None:
            problems.append(f"{path.name}: {part.damage}")
        elif not part.complete:
            unclosed.append(path.name)
            unchanged &= sizes.get(path.name) == path.stat().st_size
    if not listed:
        return None
    return LoadParts(histories, _first(problems), _first(unclosed), unchanged)


def _first(texts: Sequence[str]) -> str | None:
    return texts[0] if texts else None


def _opened(path: Path, segment: LoadSegment) -> History | str:
    """Return the history in a segment, or why it is not the segment of the run."""
    if not path.is_file():
        return f"{path.name}, which a load process wrote, is missing"
    try:
        history = open_arrow(path)
    except UsageError as problem:
        return problem.message
    if history.about.get(LOAD_SEGMENT) != segment.id:
        return f"{path.name} is not the file that the run's load process wrote"
    return history


def require_first(path: Path, history: History) -> None:
    """Raise UsageError if a file has the ops of one load process only."""
    if LOAD_SEGMENT in history.about:
        raise UsageError(
            f"{path}: only a part of a history, of one load process",
            remedy="give history.arrow, with all files history-load-*.arrow beside it",
        )
