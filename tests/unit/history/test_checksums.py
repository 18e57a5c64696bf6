"""Stored histories: whatever happens to the bytes of a journal, no verdict rests on damaged ops."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsenvm.checkers.total_queue import total_queue
from jepsenvm.checkers.verdict import Verdict, check
from jepsenvm.errors import UsageError
from jepsenvm.history import journal as journal_module
from jepsenvm.history import table
from jepsenvm.history.checksums import VERSION
from jepsenvm.history.compaction import compact_run
from jepsenvm.history.journal import SCHEMA, Journal
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.readers import open_history


def recorded(path: Path, *, lost: bool = False, compact: bool = False) -> bytes:
    """Return the bytes of a small closed journal, or of its compact form in several batches."""
    journal = Journal(path, count().__next__)
    journal.append("info", "schedule", process=NEMESIS, data=[])
    for value in range(6):
        for type_ in ("invoke", "ok"):
            journal.append(type_, "enqueue", value, process=value % 2, node=f"n{value}")
        journal.flush()
    journal.append("invoke", "drain", process=9)
    for value in range(1 if lost else 0, 6):
        journal.append("ok", "dequeue", value, process=10, node="n1")
    journal.append("ok", "drain", process=9, data={"received": 6})
    journal.close()
    if compact:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(table, "CHUNK_ROWS", 5)
            compact_run(path)
        assert VERSION not in path.read_bytes()
    return path.read_bytes()


def verdict_of(path: Path, content: bytes) -> Verdict | None:
    """Return the verdict of a journal with this content; None if it is refused."""
    path.write_bytes(content)
    try:
        return check(open_history(path), {"total-queue": total_queue}).verdict
    except UsageError:
        return None


NO_VERDICT = (None, Verdict.UNKNOWN)


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("lost", [False, True])
def test_a_flipped_bit_anywhere_gives_no_verdict(tmp_path: Path, lost: bool, compact: bool) -> None:
    path = tmp_path / "history.arrow"
    whole = recorded(path, lost=lost, compact=compact)
    assert verdict_of(path, whole) is (Verdict.INVALID if lost else Verdict.VALID)
    for position in range(8, len(whole), 61):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        assert verdict_of(path, bytes(flipped)) in NO_VERDICT, position


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("lost", [False, True])
def test_a_file_cut_anywhere_gives_no_verdict(tmp_path: Path, lost: bool, compact: bool) -> None:
    path = tmp_path / "history.arrow"
    whole = recorded(path, lost=lost, compact=compact)
    for size in range(900, len(whole), 61):
        assert verdict_of(path, whole[:size]) in NO_VERDICT, size


@pytest.mark.parametrize("compact", [False, True])
def test_concatenated_repeated_and_missing_parts_give_no_verdict(
    tmp_path_factory: pytest.TempPathFactory, compact: bool
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    whole = recorded(folder / "recorded.arrow", compact=compact)

    @settings(max_examples=40, deadline=None)
    @given(st.integers(8, len(whole)), st.integers(0, len(whole)), st.binary(max_size=9))
    def holds(first: int, second: int, between: bytes) -> None:
        content = whole[:first] + between + whole[second:]
        if content != whole:
            assert verdict_of(folder / "history.arrow", content) in NO_VERDICT

    holds()
    assert verdict_of(folder / "history.arrow", whole + whole) in NO_VERDICT


@pytest.mark.parametrize("compact", [False, True])
def test_whole_messages_that_are_missing_repeated_or_moved_give_no_verdict(
    tmp_path: Path, compact: bool
) -> None:
    whole = recorded(tmp_path / "recorded.arrow", compact=compact)
    messages = messages_of(whole)
    assert b"".join(messages) == whole
    assert len(messages) > 5
    path = tmp_path / "history.arrow"
    # The end mark is not in the chain, so the last message before it is left where it is.
    for place in range(1, len(messages) - 2):
        before, message, after = messages[:place], messages[place], messages[place + 1 :]
        for changed in (
            [*before, *after],
            [*before, message, message, *after],
            [*before, *after[:1], message, *after[1:]],
        ):
            assert verdict_of(path, b"".join(changed)) in NO_VERDICT, place


def messages_of(whole: bytes) -> list[bytes]:
    """Return the messages of a closed journal, and its end mark."""
    ends, source = [0], pa.BufferReader(whole)
    for _ in pa.ipc.MessageReader.open_stream(source):
        ends.append(source.tell())
    return [whole[begin:end] for begin, end in zip(ends, [*ends[1:], len(whole)], strict=True)]


# Journals of older versions have no checksums.


@pytest.fixture
def old(tmp_path: Path) -> bytes:
    """Return the bytes of a journal as older versions wrote it."""
    new = recorded(tmp_path / "new.arrow")
    batches = list(pa.ipc.open_stream(new))
    metadata = {**(SCHEMA.metadata or {}), b"jepsenvm": b"history 1"}
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, journal_module.SCHEMA.with_metadata(metadata)) as writer:
        for batch in batches:
            writer.write_batch(batch.replace_schema_metadata(metadata))
    content: bytes = sink.getvalue().to_pybytes()
    return content


def test_an_old_journal_keeps_its_verdict(tmp_path: Path, old: bytes) -> None:
    assert verdict_of(tmp_path / "history.arrow", old) is Verdict.VALID


def test_an_old_journal_that_is_cut_or_continued_gives_no_verdict(
    tmp_path: Path, old: bytes
) -> None:
    path = tmp_path / "history.arrow"
    for content in (old[:-1], old[:-8], old[: len(old) // 2], old + old, old + b"x", old[:100]):
        assert verdict_of(path, content) in NO_VERDICT


@pytest.mark.parametrize(
    ("found", "replacement"),
    [
        # The dictionary of the names, and the codes of the types of the first enqueues.
        (b"enqueue", b"enqueuf"),
        (b"\x00\x01\x00\x00\x00\x00\x00\x00", b"\x00\x03\x00\x00\x00\x00\x00\x00"),
    ],
)
def test_an_old_journal_that_contradicts_itself_gives_no_verdict(
    tmp_path: Path, old: bytes, found: bytes, replacement: bytes
) -> None:
    assert old.count(found) > 1
    changed = old.replace(found, replacement, 1)
    assert verdict_of(tmp_path / "history.arrow", changed) in NO_VERDICT
