"""Journals: every byte with its checksum, every failure, and the segments of a resumed run."""

from __future__ import annotations

import errno
import io
import json
import os
import struct
import zlib
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jepsenvm.errors import RunError, UsageError
from jepsenvm.history import checksums
from jepsenvm.history.arrow_file import open_arrow
from jepsenvm.history.arrow_stream import create_file
from jepsenvm.history.checksums import (
    END_MARK,
    MOST_SCHEMA,
    Extent,
    begins_like_arrow,
    has_checksums,
    verify,
    with_checksum,
)
from jepsenvm.history.journal import SCHEMA, Journal
from jepsenvm.history.op import NEMESIS, TYPES, Op
from jepsenvm.history.segments import next_segment, open_journal, segments
from jepsenvm.history.table import History

# Checksums


def message(metadata: bytes, body: bytes, previous: int) -> tuple[bytes, int]:
    """Return a message as the format says, made without the code under test."""
    head = struct.pack("<Ii", 0xFFFFFFFF, len(metadata) + 16) + metadata
    head += b"crc1" + struct.pack("<Q", len(body))
    crc = zlib.crc32(head + body, previous)
    return head + struct.pack("<I", crc) + body, crc


def test_the_bytes_of_a_message() -> None:
    first = with_checksum(b"12345678", b"", 0)
    assert first == message(b"12345678", b"", 0)
    assert with_checksum(b"abcdefgh", b"body", first[1]) == message(b"abcdefgh", b"body", first[1])


FIRST, CRC = message(b"12345678", b"", 0)
SECOND, _ = message(b"abcdefghijkl", b"the body", CRC)
WHOLE = FIRST + SECOND


def verified(content: bytes) -> Extent:
    return verify(memoryview(content))


def test_every_cut_of_a_file_ends_at_a_whole_message() -> None:
    assert verified(WHOLE + END_MARK) == Extent(len(WHOLE), complete=True)
    closed = WHOLE + END_MARK
    for size in range(len(closed)):
        end = len(WHOLE) if size >= len(WHOLE) else len(FIRST) if size >= len(FIRST) else 0
        assert verified(closed[:size]) == Extent(end), size


def test_every_changed_byte_is_damage_or_a_cut() -> None:
    closed = WHOLE + END_MARK
    for position in range(len(WHOLE)):
        changed = bytearray(closed)
        changed[position] ^= 1
        found = verified(bytes(changed))
        assert found.end == (0 if position < len(FIRST) else len(FIRST)), position
        assert not found.complete


def test_the_size_of_the_metadata_must_hold_the_checksum() -> None:
    for size in (-1, 1, 15):
        bad = FIRST + struct.pack("<Ii", 0xFFFFFFFF, size) + b"\x01" * 99
        assert verified(bad) == Extent(len(FIRST), damage="at byte 32 no message begins")
    least = FIRST + message(b"", b"x", CRC)[0]
    assert verified(least) == Extent(len(least))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", Extent(0)),
        (END_MARK, Extent(0, complete=True)),
        (END_MARK + b"x", Extent(0, damage="at byte 0 more bytes follow the end of the history")),
        (
            WHOLE + END_MARK + b"x",
            Extent(len(WHOLE), damage="at byte 76 more bytes follow the end of the history"),
        ),
        (b"x" * 40, Extent(0, damage="at byte 0 no message begins")),
        (FIRST + b"x" * 40, Extent(32, damage="at byte 32 no message begins")),
        (FIRST + b"\x00" * 8, Extent(32, damage="at byte 32 no message begins")),
        (SECOND, Extent(0, damage="at byte 0 the checksum does not match")),
        (FIRST + FIRST, Extent(32, damage="at byte 32 the checksum does not match")),
        (
            FIRST + SECOND[:-1] + b"Y",
            Extent(32, damage="at byte 32 the checksum does not match"),
        ),
        (
            FIRST + SECOND.replace(b"crc1", b"crc2"),
            Extent(32, damage="at byte 32 the message has no checksum"),
        ),
    ],
)
def test_what_is_wrong_with_a_damaged_file(content: bytes, expected: Extent) -> None:
    assert verified(content) == expected


def test_positions_are_written_with_commas() -> None:
    long, _ = message(b"", b"x" * 1220, 0)
    assert verified(long + b"x" * 8).damage == "at byte 1,244 no message begins"


def prefix(size: int, more: int, mark: int = 0xFFFFFFFF) -> memoryview:
    return memoryview(struct.pack("<Ii", mark, size) + b"\x00" * more)


@pytest.mark.parametrize(
    ("file", "begins"),
    [
        (memoryview(b""), False),
        (memoryview(b"\xff\xff\xff\xff\x10\x00\x00"), False),
        (prefix(16, 16), True),
        (prefix(16, 15), False),
        (prefix(17, 16), False),
        (prefix(15, 16), False),
        (prefix(16, 99), True),
        (prefix(99, 99), True),
        (prefix(-16, 16), False),
        (prefix(16, 16, mark=0xFFFFFFFE), False),
    ],
)
def test_how_a_stream_of_arrow_begins(file: memoryview, begins: bool) -> None:
    assert begins_like_arrow(file) is begins


def test_a_journal_with_checksums_is_known_by_its_mark_or_its_version() -> None:
    assert has_checksums(memoryview(FIRST))
    assert not has_checksums(memoryview(FIRST.replace(b"crc1", b"crc2")))
    # The mark must be at its place.
    assert not has_checksums(memoryview(FIRST[:8] + b"crc1" + FIRST[8:]))
    assert not has_checksums(memoryview(b""))
    at = MOST_SCHEMA - len(b"history 2")
    assert MOST_SCHEMA == 65536
    assert has_checksums(memoryview(b"x" * at + b"history 2"))
    assert not has_checksums(memoryview(b"x" * (at + 1) + b"history 2"))
    assert has_checksums(memoryview(b"x" * at + b"history 3"))
    assert not has_checksums(memoryview(b"x" * (at + 1) + b"history 3"))
    assert (checksums.VERSION, checksums.COMPACT) == (b"history 2", b"history 3")


# Journals


class FaultyFile:
    """A file whose ``failing``th write fails, or writes nothing; keeps what was done to it."""

    def __init__(self, path: Path, *, failing: int = 0, error: OSError | None = None) -> None:
        self._file: Any = create_file(path)
        self._failing, self._error = failing, error
        self.done: list[str] = []

    def write(self, data: memoryview) -> int | None:
        self.done.append("write")
        if self.done.count("write") == self._failing:
            if self._error is None:
                return None
            raise self._error
        return int(self._file.write(data))

    def truncate(self, size: int) -> int:
        self.done.append(f"truncate {size}")
        return int(self._file.truncate(size))

    def fileno(self) -> int:
        return int(self._file.fileno())

    def close(self) -> None:
        self.done.append("close")
        self._file.close()


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
REMEDY = "free some disk space and run again"


def failure(use: Any, *arguments: Any, **options: Any) -> tuple[str, str | None]:
    with pytest.raises(RunError) as refused:
        use(*arguments, **options)
    return refused.value.message, refused.value.remedy


def closed_journal(path: Path, *values: int, about: dict[str, str] | None = None) -> History:
    journal = Journal(path, count(10).__next__, about=about)
    for value in values:
        journal.append("invoke", "enqueue", value, process=value, node=f"n{value}")
        journal.flush()
    journal.close()
    return open_arrow(path)


def test_a_journal_is_an_arrow_stream_with_a_checksum_in_each_message(tmp_path: Path) -> None:
    path = tmp_path / "h.arrow"
    history = closed_journal(path, 1, 2, about={"plan": "p", "more": "x"})
    assert list(history.ops()) == [
        Op("invoke", "enqueue", 1, 1, 10, "n1"),
        Op("invoke", "enqueue", 2, 2, 11, "n2"),
    ]
    assert (history.complete, history.damage, history.plan) == (True, None, "p")
    schema = pa.ipc.open_stream(path.read_bytes()).schema
    assert schema.equals(SCHEMA)
    assert schema.metadata == {
        b"jepsenvm": b"history 2",
        b"type": b'["invoke", "ok", "fail", "info"]',
        b"plan": b"p",
        b"more": b"x",
    }
    kinds = [part.type for part in pa.ipc.MessageReader.open_stream(path.read_bytes())]
    assert kinds == [
        *("schema", "dictionary", "dictionary", "record batch", "dictionary", "record batch")
    ]
    assert path.read_bytes().endswith(END_MARK)


def as_arrow_writes(batches: list[list[Op]], codes: dict[str, dict[str, int]]) -> bytes:
    """Return a closed journal of some ops, made from lists without the code under test.

    ``codes`` are the codes of the names by column; a code may be used from its first name on.
    """
    seen: dict[str, list[str]] = {"f": [], "node": []}

    def names(column: str, values: list[Any]) -> pa.Array:
        fresh = [value for value in dict.fromkeys(values) if value not in (None, *seen[column])]
        seen[column] += fresh
        indices = [None if value is None else codes[column][value] for value in values]
        return pa.DictionaryArray.from_arrays(
            pa.array(indices, pa.int32()), pa.array(seen[column], pa.utf8())
        )

    written = io.BytesIO()
    with pa.ipc.new_stream(written, SCHEMA) as stream:
        for ops in batches:
            data = [None if op.data is None else json.dumps(op.data) for op in ops]
            columns = [
                pa.array([op.time for op in ops], pa.int64()),
                pa.array([TYPES.index(op.type) for op in ops], pa.int8()),
                pa.array([op.process for op in ops], pa.int64()),
                names("f", [op.f for op in ops]),
                pa.array([op.value for op in ops], pa.int64()),
                pa.array([op.offset for op in ops], pa.int64()),
                names("node", [op.node for op in ops]),
                pa.array([op.error for op in ops], pa.utf8()),
                pa.array(data, pa.utf8()),
            ]
            stream.write_batch(pa.record_batch(columns, names=SCHEMA.names))
    content, checksum = b"", 0
    for part in pa.ipc.MessageReader.open_stream(written.getvalue()):
        body = b"" if part.body is None else part.body.to_pybytes()
        whole, checksum = message(part.metadata.to_pybytes(), body, checksum)
        content += whole
    return content + END_MARK


def test_a_journal_has_the_bytes_that_arrow_writes_for_its_ops(tmp_path: Path) -> None:
    least, greatest = -(2**63), 2**63 - 1
    batches = [
        [Op("invoke", "enqueue", 7, 1, 0, "n1"), Op("ok", "enqueue", 7, 1, 1, "n1")],
        [Op("invoke", "enqueue", 0, 2, 2, "n1"), Op("fail", "enqueue", 0, 2, 3, "n1", "nack ü")],
        # Names that are new in one column, then in the other, then in none.
        [Op("invoke", "dequeue", None, 3, 4, "n1"), Op("ok", "dequeue", 7, 3, 5, "n1")],
        [Op("info", "dequeue", least, greatest, 6, "n2", offset=greatest)],
        [Op("info", "start", None, NEMESIS, 7, None, None, {"a": [1]})],
        [Op("info", "start", None, NEMESIS, 8, None, "e", [], 0), Op("ok", "enqueue", 0, 0, 9)],
        [Op("ok", "enqueue", greatest, least, 10, "n2", offset=0)],
    ]
    path = tmp_path / "h.arrow"
    journal = Journal(path, count().__next__)
    for ops in batches:
        for op in ops:
            named = {name: getattr(op, name) for name in ("node", "error", "data", "offset")}
            journal.append(op.type, op.f, op.value, process=op.process, **named)
        journal.flush()
        journal.flush()  # writes nothing
    journal.close()
    codes = {"f": {"enqueue": 0, "dequeue": 1, "start": 2}, "node": {"n1": 0, "n2": 1}}
    assert path.read_bytes() == as_arrow_writes(batches, codes)
    assert list(open_arrow(path).ops()) == [op for ops in batches for op in ops]


def test_the_numbers_of_a_journal_have_64_bits(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h.arrow", count().__next__)
    least, greatest = -(2**63), 2**63 - 1
    journal.append("ok", "x", least, process=least, offset=0)
    journal.append("ok", "x", greatest, process=greatest, offset=greatest)
    journal.close()
    assert [(op.value, op.process, op.offset) for op in open_arrow(tmp_path / "h.arrow").ops()] == [
        (least, least, 0),
        (greatest, greatest, greatest),
    ]


@pytest.mark.parametrize(
    ("op", "problem"),
    [
        ({"value": 2**63}, "ValueError: 9223372036854775808 is not an integer of 64 bits"),
        ({"value": -(2**63) - 1}, "ValueError: -9223372036854775809 is not an integer of 64 bits"),
        ({"process": 2**63}, "ValueError: 9223372036854775808 is not an integer of 64 bits"),
        ({"offset": 1.5}, "ValueError: 1.5 is not an integer of 64 bits"),
        ({"value": "x" * 99}, f"ValueError: {'x' * 57}... is not an integer of 64 bits"),
        ({"type": "maybe"}, "KeyError: 'maybe'"),
        ({"data": {1}}, "TypeError: Object of type set is not JSON serializable"),
    ],
)
def test_the_failure_of_an_op_that_cannot_be_recorded(
    tmp_path: Path, op: dict[str, Any], problem: str
) -> None:
    path = tmp_path / "h.arrow"
    journal = Journal(path, lambda: 5)
    arguments = {"type": "ok", "f": "x", "process": 0, **op}
    expected = (f"cannot write the history {path}: {problem}", "report it")
    assert failure(journal.append, **arguments) == expected
    # Every later use raises the first failure.
    assert failure(journal.append, "maybe", "x", process="y") == expected
    assert failure(journal.flush) == expected
    assert failure(journal.close) == expected
    assert journal.now() == 5


def test_a_long_failure_is_shortened(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "h.arrow", count().__next__)
    message, _ = failure(journal.append, "x" * 300, "x", process=0)
    start = f"cannot write the history {tmp_path}/h.arrow: KeyError: "
    assert message == f"{start}'{'x' * 196}..."


def test_a_file_that_exists_or_cannot_be_created(tmp_path: Path) -> None:
    path = tmp_path / "h.arrow"
    path.write_text("precious")
    assert failure(Journal, path, count().__next__) == (
        f"cannot write the history {path}: File exists",
        REMEDY,
    )
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (FULL, "No space left on device"),
        (OSError("odd"), "odd"),
        (None, "nothing was written"),
    ],
)
def test_a_write_that_fails_is_final(tmp_path: Path, error: OSError | None, says: str) -> None:
    path = tmp_path / "h.arrow"
    files: list[FaultyFile] = []

    def create(path: Path) -> FaultyFile:
        files.append(FaultyFile(path, failing=2, error=error))
        return files[0]

    journal = Journal(path, count().__next__, create=create)
    journal.flush()
    journal.append("ok", "x", process=0)
    expected = (f"cannot write the history {path}: {says}", REMEDY)
    for use in (journal.flush, journal.flush, journal.close):
        assert failure(use) == expected
    assert files[0].done == ["write", "write", "close"]


def test_an_end_mark_that_may_not_be_on_the_disk_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "h.arrow"
    files: list[FaultyFile] = []
    syncs: list[int] = []

    def create(path: Path) -> FaultyFile:
        files.append(FaultyFile(path))
        return files[0]

    def fsync(file: int) -> None:
        assert file == files[0].fileno()
        syncs.append(path.stat().st_size)
        if len(syncs) == 2:
            raise FULL

    monkeypatch.setattr(os, "fsync", fsync)
    journal = Journal(path, count().__next__, create=create)
    journal.append("ok", "x", process=0)
    assert failure(journal.close) == (
        f"cannot write the history {path}: No space left on device",
        REMEDY,
    )
    before, after = syncs
    assert after == before + len(END_MARK) == path.stat().st_size + len(END_MARK)
    assert files[0].done == ["write", "write", "write", f"truncate {before}", "close"]


def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    path = tmp_path / "h.arrow"
    journal = Journal(path, count().__next__)
    journal.close()
    size = path.stat().st_size
    expected = (f"the history {path} is closed", None)
    assert failure(journal.append, "ok", "x", process=0) == expected
    assert failure(journal.flush) == expected
    assert failure(journal.close) == expected
    assert path.stat().st_size == size


def test_nothing_is_written_without_ops_and_each_batch_once(tmp_path: Path) -> None:
    path = tmp_path / "h.arrow"
    journal = Journal(path, count().__next__)
    schema = path.stat().st_size
    assert schema > 0
    journal.flush()
    assert path.stat().st_size == schema
    journal.append("ok", "x", process=0)
    assert path.stat().st_size == schema
    journal.flush()
    size = path.stat().st_size
    assert size > schema
    journal.flush()
    assert path.stat().st_size == size
    journal.append("ok", "x", process=0)
    journal.flush()
    assert path.stat().st_size - size <= size - schema


# Files that are no journal


def refusal(path: Path, content: bytes) -> tuple[str, str | None]:
    path.write_bytes(content)
    with pytest.raises(UsageError) as refused:
        open_arrow(path)
    return refused.value.message, refused.value.remedy


def test_files_that_are_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "h.arrow"
    closed_journal(tmp_path / "good.arrow", 1)
    good = (tmp_path / "good.arrow").read_bytes()
    start = f"{path}: not a history of jepsenvm"
    damaged = f"{start}, or damaged: "
    assert refusal(path, b"x") == (f"{start}: it does not begin like one", None)
    assert refusal(path, b"x" * 99) == (f"{start}: it does not begin like one", None)
    assert refusal(path, b"x" + good[1:]) == (f"{damaged}at byte 0 no message begins", None)
    closed_journal(tmp_path / "empty.arrow")
    in_schema = (tmp_path / "empty.arrow").read_bytes()[:-9]
    assert refusal(path, in_schema) == (f"{damaged}it is cut short before its first op", None)


def other_stream(metadata: dict[str, str] | None) -> bytes:
    sink = pa.BufferOutputStream()
    schema = SCHEMA.with_metadata(metadata)
    with pa.ipc.new_stream(sink, schema):
        pass
    content: bytes = sink.getvalue().to_pybytes()
    return content


def test_streams_of_other_programs_and_versions(tmp_path: Path) -> None:
    path = tmp_path / "h.arrow"
    for metadata in (None, {"other": "x"}):
        assert refusal(path, other_stream(metadata)) == (
            f"{path}: an Arrow stream, but not a history of jepsenvm",
            None,
        )
    path.write_bytes(other_stream({"jepsenvm": "history 1", "plan": "p"}))
    old = open_arrow(path)
    assert (old.complete, old.damage, old.plan) == (True, None, "p")
    path.write_bytes(other_stream({"jepsenvm": "history 4"}))
    new = open_arrow(path)
    assert (new.complete, new.damage, new.plan) == (
        False,
        "it says b'history 4' but was written otherwise",
        None,
    )


@pytest.mark.parametrize("version", ["history 2", "history 3"])
def test_a_stream_that_should_have_checksums_and_has_none(tmp_path: Path, version: str) -> None:
    path = tmp_path / "h.arrow"
    problem = "at byte 0 the message has no checksum"
    message = f"{path}: not a history of jepsenvm, or damaged: {problem}"
    assert refusal(path, other_stream({"jepsenvm": version})) == (message, None)


def test_a_path_that_cannot_be_mapped(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        open_arrow(tmp_path / "none.arrow")
    assert refused.value.message.startswith(
        f"{tmp_path}/none.arrow: cannot be read: [Errno 2] Failed to open local file"
    )
    assert len(refused.value.message) <= len(f"{tmp_path}/none.arrow: cannot be read: ") + 200


def test_a_damaged_journal_has_the_ops_before_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "h.arrow"
    closed_journal(path, 1, 2)
    whole = path.read_bytes()
    path.write_bytes(whole + b"x")
    history = open_arrow(path)
    assert (history.complete, history.damage, history.plan) == (
        False,
        f"at byte {len(whole) - 8:,} more bytes follow the end of the history",
        None,
    )
    assert [op.value for op in history.ops()] == [1, 2]
    path.write_bytes(whole[:-8])
    history = open_arrow(path)
    assert (history.complete, history.damage) == (False, None)
    assert [op.value for op in history.ops()] == [1, 2]


# Segments


def names(first: Path) -> list[str]:
    return [path.name for path in segments(first)]


def test_the_segments_of_a_journal_in_their_order(tmp_path: Path) -> None:
    first = tmp_path / "history.arrow"
    others = [
        *("history-10.arrow", "history-2.arrow", "history-1.arrow", "history-123456789.arrow"),
        *("history-0.arrow", "history-03.arrow", "history-1234567890.arrow", "history-x.arrow"),
        *("history-4.arrow.bak", "xhistory-5.arrow", "other-6.arrow", "history.segments"),
    ]
    for name in others:
        (tmp_path / name).touch()
    assert segments(first)[0] == first
    assert names(first) == [
        *("history.arrow", "history-1.arrow", "history-2.arrow", "history-10.arrow"),
        "history-123456789.arrow",
    ]
    assert names(tmp_path / "history-2.arrow") == ["history-2.arrow"]
    assert names(tmp_path / "other.arrow") == ["other.arrow"]


def resumed(tmp_path: Path, *counts: int) -> Path:
    """Record a run that was resumed; each segment has this number of ops. Return the first."""
    first = tmp_path / "history.arrow"
    value = count(1)
    for number, ops in enumerate(counts):
        path = next_segment(first) if number else first
        journal = Journal(path, count(100 * number).__next__, about={"plan": f"p{number}"})
        for _ in range(ops):
            process = next(value)
            journal.append("ok", f"f{process}", process, process=process, node=f"n{process}")
        journal.close()
    return first


def test_a_resumed_run_is_one_history(tmp_path: Path) -> None:
    first = resumed(tmp_path, 2, 1, 1)
    assert names(first) == ["history.arrow", "history-2.arrow", "history-3.arrow"]
    sizes = {path.name: path.stat().st_size for path in segments(first)[:2]}
    assert (tmp_path / "history.segments").read_text() == json.dumps(sizes) + "\n"
    assert not (tmp_path / ".history.segments").exists()
    history = open_journal(first)
    assert (history.complete, history.damage, history.plan) == (True, None, "p0")
    for _ in range(2):
        assert list(history.ops()) == [
            Op("ok", "f1", 1, 1, 0, "n1"),
            Op("ok", "f2", 2, 2, 1, "n2"),
            Op("ok", "f3", 3, 3, 100, "n3"),
            Op("ok", "f4", 4, 4, 200, "n4"),
        ]
    assert (history.names, history.nodes) == (["f1", "f2", "f3", "f4"], ["n1", "n2", "n3", "n4"])


def complete(first: Path) -> bool:
    return open_journal(first).complete


def test_a_changed_segment_is_noticed(tmp_path: Path) -> None:
    first = resumed(tmp_path, 1, 1, 1)
    sizes, second, third = (
        tmp_path / name for name in ("history.segments", "history-2.arrow", "history-3.arrow")
    )
    assert complete(first)
    recorded, content = sizes.read_text(), second.read_bytes()
    for wrong in ("", "{", "[]", "{}", "null", "[" * 100_000, recorded.replace("-2", "-4")):
        sizes.write_text(wrong)
        assert not complete(first), wrong
    sizes.write_bytes(b"\xff")
    assert not complete(first)
    sizes.unlink()
    assert not complete(first)
    sizes.write_text(recorded)
    second.write_bytes(content[:-8])
    assert not complete(first)
    second.write_bytes(content)
    assert complete(first)
    last = third.read_bytes()
    third.write_bytes(last[:-8])
    assert not complete(first)
    assert open_journal(first).damage is None
    third.write_bytes(b"")
    assert not complete(first)
    assert [op.value for op in open_journal(first).ops()] == [1, 2]
    third.write_bytes(last)
    third.rename(tmp_path / "history-4.arrow")
    assert not complete(first)


def test_the_first_damage_of_the_segments_is_given(tmp_path: Path) -> None:
    first = resumed(tmp_path, 1, 1, 1)
    second, third = tmp_path / "history-2.arrow", tmp_path / "history-3.arrow"
    third.write_bytes(third.read_bytes() + b"x")
    end = third.stat().st_size - 9
    message = "more bytes follow the end of the history"
    assert open_journal(first).damage == f"at byte {end:,} {message}"
    second.write_bytes(second.read_bytes() + b"xy")
    end = second.stat().st_size - 10
    assert open_journal(first).damage == f"at byte {end:,} {message}"
    assert [op.value for op in open_journal(first).ops()] == [1, 2, 3]


def test_an_empty_segment_in_between_is_left_out(tmp_path: Path) -> None:
    first = resumed(tmp_path, 1)
    next_segment(first).touch()
    assert not complete(first)
    third = next_segment(first)
    journal = Journal(third, count().__next__)
    journal.append("info", "x", process=NEMESIS)
    journal.close()
    assert third.name == "history-3.arrow"
    assert [op.f for op in open_journal(first).ops()] == ["f1", "x"]
    assert complete(first)


def test_an_empty_first_segment_is_refused(tmp_path: Path) -> None:
    first = resumed(tmp_path, 1, 1)
    first.write_bytes(b"")
    with pytest.raises(UsageError, match=r"history\.arrow"):
        open_journal(first)


def test_a_disk_that_refuses_the_sizes(tmp_path: Path) -> None:
    first = resumed(tmp_path, 1)
    (tmp_path / "history.segments").mkdir()
    assert failure(next_segment, first) == (
        f"cannot write {tmp_path}/history.segments: Is a directory",
        "free some disk space and try again",
    )
