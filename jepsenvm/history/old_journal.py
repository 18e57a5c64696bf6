"""The process that ``vetting`` runs: reads a journal without checksums and judges its integrity.

Older runs have no checksums, so damage shows only where the content contradicts itself. What any
version has recorded is consistent in these ways: times never go backwards; a process alternates
between an invocation and its completion, with the same value; names are only ever added.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from jepsenvm.history.checksums import END_MARK, Extent
from jepsenvm.history.op import NEMESIS, TYPES
from jepsenvm.history.table import TYPE_CODES, Chunk, History, Ints, history_of_stream

COLUMNS: Final = ("time", "type", "process", "f", "value", "offset", "node", "error", "data")
REQUIRED: Final = ("time", "type", "process", "f")

PAIRED: Final = ("enqueue", "acquire", "release")
"""Ops of which every version records an invocation and then a completion by the same process."""


def extent(path: Path) -> Extent:
    """Return how much of a file can be read, and what is wrong with it."""
    file = pa.memory_map(str(path)).read_buffer()
    ends, damage = _message_ends(file)
    if not ends:
        return Extent(0, damage=damage)
    stream = file.slice(0, ends[-1])
    try:
        problem = next(_problems(stream), None)
    # Arrow raises many kinds of errors for damaged streams.
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        return Extent(ends[0], damage=problem)  # the schema only
    rest = file.slice(ends[-1]).to_pybytes()
    if len(rest) > len(END_MARK) and rest.startswith(END_MARK):
        return Extent(ends[-1], damage="more bytes follow the end of the history")
    return Extent(ends[-1], complete=rest == END_MARK, damage=damage)


def _message_ends(file: pa.Buffer) -> tuple[list[int], str | None]:
    """Return the position at which each whole message ends."""
    source, ends = pa.BufferReader(file), list[int]()
    try:
        for _ in pa.ipc.MessageReader.open_stream(source):
            ends.append(source.tell())
    except (OSError, pa.ArrowInvalid) as error:
        if not ends:
            return ends, str(error)
    return ends, None


def _problems(stream: pa.Buffer) -> Iterator[str]:
    schema = pa.ipc.open_stream(stream).schema
    if b"jepsenvm" not in (schema.metadata or {}):
        return  # another file; the caller says so
    if tuple(schema.names) != COLUMNS:
        yield "its columns are not those of a history"
    seen: dict[str, list[str]] = {"f": [], "node": []}
    for batch in pa.ipc.open_stream(stream):
        batch.validate(full=True)
        yield from _batch_problems(batch, seen)
    yield from _history_problems(history_of_stream(stream))


def _batch_problems(batch: pa.RecordBatch, seen: dict[str, list[str]]) -> Iterator[str]:
    if any(batch[name].null_count for name in REQUIRED):
        yield "an op has no time, type, process or name"
    for name, names in seen.items():
        dictionary = batch[name].dictionary.to_pylist()
        if dictionary[: len(names)] != names or len(set(dictionary)) != len(dictionary):
            yield "the names of its ops or nodes change"
        seen[name] = dictionary
    for text in batch["data"].drop_null().to_pylist():
        json.loads(text)


def _history_problems(history: History) -> Iterator[str]:
    last_time, open_rows = 0, np.empty((4, 0), dtype=np.int64)
    for chunk in history:
        times = np.concatenate([[last_time], chunk.time])
        if np.any(np.diff(times) < 0):
            yield "its times go backwards"
        last_time = int(times[-1])
        types = chunk.type
        if np.any((types < 0) | (types >= len(TYPES))) or np.any(chunk.process < NEMESIS):
            yield "an op has a type or a process that does not exist"
        if np.any((chunk.process == NEMESIS) & (types != TYPE_CODES["info"])):
            yield "a record of the nemesis is not an info"
        if np.any(chunk.f < 0):
            yield "an op has no name"
        open_rows, alternates = _alternating(history, chunk, open_rows)
        if not alternates:
            yield "the invocations and completions of a process do not match"


def _alternating(history: History, chunk: Chunk, open_rows: Ints) -> tuple[Ints, bool]:
    """Return the invocations still open after a chunk, and whether ops complete as invoked."""
    codes = [code for code, name in enumerate(history.names) if name in PAIRED]
    enqueue = history.names.index("enqueue") if "enqueue" in history.names else -1
    chosen = np.isin(chunk.f, codes) & (chunk.process != NEMESIS)
    # Only an enqueue has its value at both ends. A value is -1 where there is none.
    values = np.where(chunk.has_value & (chunk.f == enqueue), chunk.value, -1)
    columns = (chunk.process, chunk.type, chunk.f, values)
    rows = np.stack([column[chosen].astype(np.int64) for column in columns])
    rows = np.concatenate([open_rows, rows], axis=1)
    rows = rows[:, np.argsort(rows[0], kind="stable")]
    process, type_, f, value = rows
    if not len(process):
        return rows, True
    invokes = type_ == TYPE_CODES["invoke"]
    first = np.append(True, process[1:] != process[:-1])
    completes = np.append(False, invokes[:-1] & (f[1:] == f[:-1]) & (value[1:] == value[:-1]))
    # After an invocation comes its completion; before an invocation is none open.
    after_invoke = np.append(False, invokes[:-1]) & ~first
    right = np.where(invokes, ~after_invoke, ~first & completes)
    last = np.append(process[1:] != process[:-1], True)
    return rows[:, last & invokes], bool(right.all())


if __name__ == "__main__":
    print(json.dumps(asdict(extent(Path(sys.argv[1])))))
