"""stream: every reader of a stream must read the same records, all of them and in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jepsenvm.checkers.corrupted import split_corrupted
from jepsenvm.checkers.loss_attribution import attribute
from jepsenvm.checkers.op_columns import (
    OpColumns,
    all_ops,
    difference,
    distinct,
    multiset_difference,
    multiset_union,
    ops_with_value,
    processes,
)
from jepsenvm.checkers.own_restarts import restart_doubt
from jepsenvm.checkers.publish_order import (
    PublishOrder,
    first_of_each,
    highest_before,
    publish_order,
)
from jepsenvm.checkers.total_queue import SHOWN, end_marks
from jepsenvm.checkers.verdict import Result, graded
from jepsenvm.checkers.wording import counted
from jepsenvm.history.table import TYPE_CODES, History, Ints


@dataclass(frozen=True)
class _Reader:
    """What one process read from the stream."""

    process: int
    reads: OpColumns
    end: int | None
    """The last offset of the stream, as the reader observed it: -1 for an empty stream.

    None if the reader did not finish.
    """

    @property
    def last(self) -> int:
        """The highest offset that it read, or -1."""
        return int(self.reads.offset.max(initial=-1))

    @property
    def values(self) -> Ints:
        """The values of its records. A record that it read twice counts once."""
        _, values = _records(self.reads.where(self.reads.offset >= 0))
        return np.concatenate([values, self.reads.value[self.reads.offset < 0]])

    @property
    def complete(self) -> bool:
        """Whether it read to the end of the stream."""
        return self.end == self.last

    def figures(self) -> dict[str, Any]:
        return {
            "process": self.process,
            "read-count": len(self.reads),
            "last": self.last,
            "end": self.end,
        }


def stream(history: History) -> Result:
    """Compare what was acknowledged with what each reader read, from the first offset to the end.

    These make it invalid:

    - lost: acknowledged, and missing from a reader that read to the end;
    - divergent: an offset at which two readers read different values, or which one reader passed
      without the record that another one read there;
    - nonmonotonic: read at an offset no higher than an earlier one of the same reader;
    - out of order: at a higher offset than a message that the same process published later;
    - unexpected: read and never attempted;
    - corrupted: read with a body that differs from the sent body. This read has no message.

    A value at several offsets is duplicated, which is allowed: a publisher may repeat a message.
    Offsets without a record are allowed too, since the stream itself uses some.

    It is unknown if a reader did not finish or its last record is not at the stream's end (what it
    did not read is undecided), and if a record has no offset. If jepsenvm restarted every replica
    of the stream before the readers began, what is missing is undecided instead of lost.
    """
    history, corrupted = split_corrupted(history, "read")
    published = publish_order(history)
    reads = ops_with_value(history, "ok", "read")
    acknowledged = history.values("ok", "enqueue")
    readers = _readers(history, reads)
    with_offset = reads.where(reads.offset >= 0)
    offset, value = _records(with_offset)
    lost, undecided = _lost_and_undecided(acknowledged, readers)
    own_restart = restart_doubt(history) if len(lost) else None
    if own_restart is not None:
        lost, undecided = lost[:0], np.sort(np.concatenate([lost, undecided]))
    kinds = _kinds(published, acknowledged, reads, value) | {
        "lost": lost,
        "divergent": _divergent(readers, offset),
        "nonmonotonic": _nonmonotonic(with_offset),
        "undecided": undecided,
    }
    figures: dict[str, Any] = {
        "attempt-count": len(published.value),
        "acknowledged-count": len(acknowledged),
        "load-acknowledged-count": len(acknowledged) - end_marks(history),
        "read-count": len(reads),
        "record-count": len(offset),
    }
    for kind, found in kinds.items():
        figures[f"{kind}-count"] = len(found)
        figures[kind] = _shown(history, kind, found)
    figures |= corrupted.figures
    figures["unfinished"] = [reader.process for reader in readers if reader.end is None]
    figures["unread"] = [
        reader.process for reader in readers if reader.end is not None and not reader.complete
    ]
    figures["readers"] = [reader.figures() for reader in readers]
    without_offset = len(reads) - len(with_offset)
    # The figures decide. The reasons only explain them.
    verdict = graded(
        invalid=any(figures[f"{kind}-count"] > 0 for kind in INVALID_KINDS),
        unknown=len(undecided) > 0
        or without_offset > 0
        or not readers
        or not all(reader.complete for reader in readers),
    )
    violations = _violations(figures, attribute(history, lost))
    doubts = _doubts(readers, without_offset, own_restart, len(undecided))
    return Result(verdict, (*corrupted.reasons, *violations, *doubts), figures)


KINDS = (
    "lost",
    "divergent",
    "nonmonotonic",
    "out-of-order",
    "unexpected",
    "corrupted",
    "duplicated",
    "recovered",
    "undecided",
)
"""The kinds of findings in a result, in this order."""

INVALID_KINDS = ("lost", "divergent", "nonmonotonic", "out-of-order", "unexpected", "corrupted")
"""The kinds of findings that make a result invalid."""

OFFSET_KINDS = ("divergent", "nonmonotonic")
"""The kinds that list offsets; the others list values."""


def _kinds(
    published: PublishOrder, acknowledged: Ints, reads: OpColumns, record_values: Ints
) -> dict[str, Ints]:
    """Return the kinds that compare what was read with what was published.

    ``record_values`` are the values of the stream's records, by offset.
    """
    read_values = distinct(reads.value)
    attempted = published.attempted(read_values)
    first = first_of_each(record_values)
    return {
        "out-of-order": published.value[_out_of_order(published, record_values[first])],
        "unexpected": read_values[~attempted],
        "duplicated": record_values[~first],
        "recovered": difference(read_values[attempted], acknowledged),
    }


def _readers(history: History, reads: OpColumns) -> list[_Reader]:
    """Return every process that invoked a read or recorded an end.

    Op ``end`` has the last offset of the stream as its offset. A reader with a failed or doubtful
    end did not finish.
    """
    ends = all_ops(history, "end")
    ok = ends.of_type("ok")
    not_ok = (ends.type == TYPE_CODES["info"]) | (ends.type == TYPE_CODES["fail"])
    unfinished = ends.process[not_ok]
    readers = []
    for process in distinct(np.concatenate([ends.process, processes(history, "read")])).tolist():
        offsets = ok.offset[ok.process == process]
        finished = len(offsets) and process not in unfinished
        end = int(offsets[-1]) if finished else None
        readers.append(_Reader(process, reads.where(reads.process == process), end))
    return readers


def _records(reads: OpColumns) -> tuple[Ints, Ints]:
    """Return the different pairs of offset and value that any reader read, by offset."""
    by_offset = np.lexsort((reads.value, reads.offset))
    offset, value = reads.offset[by_offset], reads.value[by_offset]
    new = np.ones(len(offset), dtype=bool)
    new[1:] = (np.diff(offset) != 0) | (np.diff(value) != 0)
    return offset[new], value[new]


def _lost_and_undecided(acknowledged: Ints, readers: Sequence[_Reader]) -> tuple[Ints, Ints]:
    """Return the lost values, and the undecided values, as multisets.

    Lost: a complete reader did not read them as often as they were acknowledged. Undecided: only
    incomplete readers did not.
    """
    if not readers:
        return acknowledged[:0], np.sort(acknowledged)
    lost = _missing(acknowledged, [reader for reader in readers if reader.complete])
    unread = _missing(acknowledged, [reader for reader in readers if not reader.complete])
    return lost, multiset_difference(unread, lost)


def _missing(acknowledged: Ints, readers: Sequence[_Reader]) -> Ints:
    """Return the acknowledged values that are missing from at least one of these readers."""
    missing = acknowledged[:0]
    for reader in readers:
        missing = multiset_union(missing, multiset_difference(acknowledged, reader.values))
    return missing


def _divergent(readers: Sequence[_Reader], offset: Ints) -> Ints:
    """Return the offsets at which readers differ. Each reader counts up to its last offset."""
    offsets = distinct(offset)
    passed = [
        difference(offsets[offsets <= reader.last], reader.reads.offset) for reader in readers
    ]
    two_values = offset[1:][np.diff(offset) == 0]
    return distinct(np.concatenate([two_values, *passed]))


def _nonmonotonic(reads: OpColumns) -> Ints:
    """Return (process, offset) of each read no higher than an earlier one of its process."""
    backwards = reads.where(highest_before(reads.offset, reads.process) >= reads.offset)
    return np.stack([backwards.process, backwards.offset], axis=1)


def _out_of_order(published: PublishOrder, value: Ints) -> Ints:
    """Return (position, latest) of each value behind a later value of its process.

    ``latest`` is the highest position of the values that stand before it.
    """
    position = published.positions(value)
    position = position[position >= 0]
    latest = highest_before(position, published.process[position])
    return np.stack([position, latest], axis=1)[latest > position]


def _shown(history: History, kind: str, entries: Ints) -> list[Any]:
    """Return the first SHOWN entries of a kind: values, pairs of values, or offsets."""
    shown: list[Any] = entries[:SHOWN].tolist()
    if kind in OFFSET_KINDS:
        return shown
    return [
        [history.label(code) for code in entry] if isinstance(entry, list) else history.label(entry)
        for entry in shown
    ]


def _violations(figures: Mapping[str, Any], attribution: str | None) -> list[str]:
    sentences = {
        "lost": (
            ("message was lost", "messages were lost"),
            attribution or "acknowledged, but missing from a reader that read to the end",
        ),
        "divergent": (
            ("offset is divergent", "offsets are divergent"),
            "the readers differ there",
        ),
        "nonmonotonic": (
            ("read is nonmonotonic", "reads are nonmonotonic"),
            "at an offset no higher than an earlier read of the same reader",
        ),
        "out-of-order": (
            ("message is out of order", "messages are out of order"),
            "at a higher offset than a message that the same process published later",
        ),
        "unexpected": (
            ("message is unexpected", "messages are unexpected"),
            "read, but never sent by any process",
        ),
    }
    return [
        f"{counted(figures[f'{kind}-count'], *nouns)}: {explanation}"
        for kind, (nouns, explanation) in sentences.items()
        if figures[f"{kind}-count"]
    ]


def _doubts(
    readers: Sequence[_Reader], without_offset: int, own_restart: str | None, undecided: int
) -> list[str]:
    doubts = [] if own_restart is None else [own_restart]
    if not readers:
        doubts.append("no process read the stream")
    for reader in readers:
        if reader.end is None:
            doubts.append(f"reader {reader.process} did not finish")
        elif not reader.complete:
            doubts.append(
                f"reader {reader.process} read to offset {reader.last}, but the stream's end is "
                f"{reader.end}"
            )
    if doubts and undecided:
        messages = counted(
            undecided, "acknowledged message is undecided", "acknowledged messages are undecided"
        )
        doubts[-1] += f": {messages}"
    if without_offset:
        records = counted(without_offset, "record was", "records were")
        doubts.append(f"{records} read without a known offset")
    return doubts
