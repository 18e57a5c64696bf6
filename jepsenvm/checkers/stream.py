"""stream: every reader of a stream reads the same, all of it and in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jepsenvm.checkers.fault_intervals import attribute
from jepsenvm.checkers.publishing import Publishing, first_of_each, highest_before, publishing
from jepsenvm.checkers.rows import Rows, all_rows, distinct, processes, rows, without
from jepsenvm.checkers.total_queue import SHOWN
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.table import TYPE_CODES, History, Ints


@dataclass(frozen=True)
class _Reader:
    """One reader: what it read, and where the stream ended for it (None if it did not finish); -1 for an empty one."""

    process: int
    reads: Rows
    end: int | None

    @property
    def last(self) -> int:
        return int(self.reads.offset.max(initial=-1))

    @property
    def complete(self) -> bool:
        return self.end == self.last

    def figures(self) -> dict[str, Any]:
        return {
            "process": self.process,
            "read-count": len(self.reads),
            "last": self.last,
            "end": self.end,
        }


def stream(history: History) -> Result:
    """Compare what was confirmed with what each reader read, from the first offset to the end.

    Lost: acknowledged, and not read by a reader that read to the end. Divergent: an offset at which two readers read
    different values, or that one reader passed without the record that another read there. Nonmonotonic: read at an
    offset no higher than one before, by the same reader. Out of order: at a higher offset than what the same process
    published later. Unexpected: read, never attempted. Each of these is invalid. A value at several offsets is
    duplicated, which is allowed; so are offsets without a record, since the stream itself uses some.

    A reader that did not finish, or whose last record is not at the stream's end, leaves what it did not read
    undecided, and the verdict unknown; so does a record whose offset is not known.
    """
    published, reads, acknowledged = (
        publishing(history),
        rows(history, "ok", "read"),
        history.values("ok", "enqueue"),
    )
    readers = _readers(history, reads)
    placed = reads.only(reads.offset >= 0)
    offset, value = _records(placed)
    first = first_of_each(value)
    lost = _missing(acknowledged, [reader for reader in readers if reader.complete])
    undecided = without(
        _missing(acknowledged, [reader for reader in readers if not reader.complete]), lost
    )
    if not readers:
        undecided = distinct(acknowledged)
    seen = distinct(reads.value)
    back = placed.only(highest_before(placed.offset, placed.process) >= placed.offset)
    figures: dict[str, Any] = {
        "attempt-count": len(published.value),
        "acknowledged-count": len(acknowledged),
        "read-count": len(reads),
        "record-count": len(offset),
    }
    pairs = _out_of_order(published, value[first])
    for name, found in {
        "lost": lost,
        "divergent": _divergent(readers, offset),
        "nonmonotonic": np.stack([back.process, back.offset], axis=1),
        "out-of-order": published.value[pairs],
        "unexpected": seen[~published.attempted(seen)],
        "duplicated": value[~first],
        "recovered": without(seen[published.attempted(seen)], acknowledged),
        "undecided": undecided,
    }.items():
        figures[f"{name}-count"] = len(found)
        figures[name] = _shown(history, found, labelled=name not in {"divergent", "nonmonotonic"})
    figures["unfinished"] = [reader.process for reader in readers if reader.end is None]
    figures["unread"] = [
        reader.process for reader in readers if reader.end is not None and not reader.complete
    ]
    figures["readers"] = [reader.figures() for reader in readers]
    problems = _problems(figures, attribute(history, lost))
    doubts = _doubts(readers, len(reads) - len(placed), len(undecided))
    verdict = Verdict.INVALID if problems else Verdict.UNKNOWN if doubts else Verdict.VALID
    return Result(verdict, (*problems, *doubts), figures)


def _readers(history: History, reads: Rows) -> list[_Reader]:
    """Return who began to read, or said how it ended."""
    ends = all_rows(history, "end")
    ok = ends.of_type("ok")
    doubted = ends.process[(ends.type == TYPE_CODES["info"]) | (ends.type == TYPE_CODES["fail"])]
    readers = []
    for process in distinct(np.concatenate([ends.process, processes(history, "read")])).tolist():
        end = ok.offset[ok.process == process]
        finished = len(end) and process not in doubted
        readers.append(
            _Reader(
                process, reads.only(reads.process == process), int(end[-1]) if finished else None
            )
        )
    return readers


def _records(reads: Rows) -> tuple[Ints, Ints]:
    """Return the different pairs of offset and value that anybody read, by offset."""
    by_offset = np.lexsort((reads.value, reads.offset))
    offset, value = reads.offset[by_offset], reads.value[by_offset]
    new = np.ones(len(offset), dtype=bool)
    new[1:] = (np.diff(offset) != 0) | (np.diff(value) != 0)
    return offset[new], value[new]


def _missing(acknowledged: Ints, readers: Sequence[_Reader]) -> Ints:
    """Return what any of these readers did not read."""
    parts = [without(acknowledged, reader.reads.value) for reader in readers]
    return distinct(np.concatenate(parts)) if parts else acknowledged[:0]


def _divergent(readers: Sequence[_Reader], offset: Ints) -> Ints:
    """Return the offsets at which the readers differ, each as far as it has read."""
    known = distinct(offset)
    passed = [without(known[known <= reader.last], reader.reads.offset) for reader in readers]
    return distinct(np.concatenate([offset[1:][np.diff(offset) == 0], *passed]))


def _out_of_order(published: Publishing, value: Ints) -> Ints:
    """Return, as turns, each value that stands after one which its process published later, and the latest such."""
    turn = published.turns(value)
    turn = turn[turn >= 0]
    after = highest_before(turn, published.process[turn])
    return np.stack([turn, after], axis=1)[after > turn]


def _shown(history: History, found: Ints, *, labelled: bool) -> list[Any]:
    shown: list[Any] = found[:SHOWN].tolist()
    if not labelled:
        return shown
    return [
        [history.label(one) for one in item] if isinstance(item, list) else history.label(item)
        for item in shown
    ]


def _problems(figures: dict[str, Any], attribution: str | None) -> list[str]:
    sentences = {
        "lost": attribution or "acknowledged, and not read by a reader that read to the end",
        "divergent": "offsets at which the readers differ",
        "nonmonotonic": "read at an offset no higher than one that the same reader had read",
        "out-of-order": "at a higher offset than what the same process published later",
        "unexpected": "read, but nobody ever sent them",
    }
    return [
        f"{figures[f'{name}-count']:,} {name}: {text}"
        for name, text in sentences.items()
        if figures[f"{name}-count"]
    ]


def _doubts(readers: Sequence[_Reader], unplaced: int, undecided: int) -> list[str]:
    doubts = [] if readers else ["nobody read the stream"]
    for reader in readers:
        if reader.end is None:
            doubts.append(f"reader {reader.process} did not finish")
        elif not reader.complete:
            doubts.append(
                f"reader {reader.process} read to {reader.last}, and the stream's end is {reader.end}"
            )
    if doubts:
        doubts[-1] += f": what became of {undecided:,} acknowledged messages is undecided"
    if unplaced:
        doubts.append(f"{unplaced:,} read at no known offset")
    return doubts
