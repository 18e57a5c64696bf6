"""A history in columns, in chunks: what checkers read.

A chunk is a stretch of rows as numpy arrays. Names (f, node) are codes into the history's own lists; a value is an
int64, which for our histories is the value itself and for foreign ones a code that ``History.label`` turns back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jepsenvm.errors import Refused
from jepsenvm.history.op import NEMESIS, TYPES, Op, Type

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CHUNK_ROWS: Final = 1 << 18

TYPE_CODES: Final = {name: code for code, name in enumerate(TYPES)}


@dataclass(frozen=True)
class Chunk:
    """A stretch of rows, all arrays of one length; ``value`` means something only where ``has_value`` is set."""

    time: Ints
    type: Ints
    process: Ints
    f: Ints
    value: Ints
    has_value: Mask
    offset: Ints
    """Where in a stream a record was read; -1 where that means nothing."""
    node: Ints
    has_data: Mask
    data: Callable[[int], Any]
    """The row's ``data``, decoded, or None: slow, so ask ``has_data`` first."""
    error: Callable[[int], str | None]


@dataclass
class History:
    """Ops in the order in which they were recorded; iterate over its chunks as often as needed.

    ``complete`` is known once it has been read to its end: False when the end mark is missing.
    """

    _chunks: Callable[[History], Iterator[Chunk]]
    names: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    labels: Sequence[Any] | None = None
    complete: bool = True

    def __iter__(self) -> Iterator[Chunk]:
        return self._chunks(self)

    def label(self, value: int) -> Any:
        """Return the value that a code stands for."""
        return int(value) if self.labels is None else self.labels[int(value)]

    def mask(self, chunk: Chunk, type: Type, f: str) -> Mask:
        """Return which rows of a chunk are of this type and f."""
        if f not in self.names:
            return np.zeros(len(chunk.type), dtype=bool)
        wanted: Mask = (chunk.type == TYPE_CODES[type]) & (chunk.f == self.names.index(f))
        return wanted

    def values(self, type: Type, f: str) -> Ints:
        """Return the values of all ops of this type and f, in order."""
        return self._gather(type, f, lambda chunk: chunk.value, with_value=True)

    def count(self, type: Type, f: str) -> int:
        """Return how many ops are of this type and f."""
        return sum(int(self.mask(chunk, type, f).sum()) for chunk in self)

    def times(self, type: Type, f: str) -> Ints:
        """Return when ops of this type and f were recorded, in nanoseconds since the run began."""
        return self._gather(type, f, lambda chunk: chunk.time, with_value=False)

    def _gather(self, type: Type, f: str, column: Callable[[Chunk], Ints], *, with_value: bool) -> Ints:
        parts = []
        for chunk in self:
            rows = self.mask(chunk, type, f)
            parts.append(column(chunk)[rows & chunk.has_value if with_value else rows])
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    def ops(self, process: int | None = None) -> Iterator[Op]:
        """Yield the ops one by one, of one process if asked: for the few, not for the millions."""
        for chunk in self:
            rows = range(len(chunk.time)) if process is None else np.flatnonzero(chunk.process == process)
            for row in rows:
                yield Op(
                    type=TYPES[int(chunk.type[row])],
                    f=self.names[int(chunk.f[row])],
                    value=self.label(int(chunk.value[row])) if chunk.has_value[row] else None,
                    process=int(chunk.process[row]),
                    time=int(chunk.time[row]),
                    node=self.nodes[int(chunk.node[row])] if chunk.node[row] >= 0 else None,
                    error=chunk.error(int(row)),
                    data=chunk.data(int(row)),
                    offset=int(chunk.offset[row]) if chunk.offset[row] >= 0 else None,
                )

    def nemesis_ops(self) -> list[Op]:
        """Return the nemesis' ops."""
        return list(self.ops(process=NEMESIS))


def open_arrow(path: Path) -> History:
    """Return the history in a journal's file, read chunk by chunk; raise Refused if it is none."""
    try:
        with pa.memory_map(str(path)) as source:
            schema = pa.ipc.open_stream(source).schema
    except (OSError, pa.ArrowInvalid) as problem:
        raise Refused(f"{path}: not a history of ours: {problem}") from None
    if b"jepsenvm" not in (schema.metadata or {}):
        raise Refused(f"{path}: an Arrow stream, but not a history of ours")
    return History(partial(_arrow_chunks, path))


def _arrow_chunks(path: Path, history: History) -> Iterator[Chunk]:
    """Yield the journal's small batches joined to large chunks: what a chunk costs is then nothing beside its rows."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in _batches(path, history):
        waiting.append(batch)
        rows += len(batch)
        if rows >= CHUNK_ROWS:
            yield _chunk(_joined(waiting), history)
            waiting, rows = [], 0
    if waiting:
        yield _chunk(_joined(waiting), history)


def _batches(path: Path, history: History) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_stream(source)
        while True:
            try:
                yield reader.read_next_batch()
            except StopIteration:
                # Arrow takes a plain end of file for an end of stream: only our end mark says that it was closed.
                history.complete = _has_end_mark(path)
                return
            except (OSError, pa.ArrowInvalid):
                history.complete = False
                return


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().to_batches()[0]


def _has_end_mark(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 8))
        return file.read() == b"\xff\xff\xff\xff\x00\x00\x00\x00"


def _chunk(batch: pa.RecordBatch, history: History) -> Chunk:
    time, type_, process, f, value, offset, node, error, data = batch.columns
    has_value = np.ones(len(batch), dtype=bool)
    if value.null_count:
        has_value = value.is_valid().to_numpy(zero_copy_only=False)
        value = value.fill_null(0)

    def decoded(row: int) -> Any:
        text = data[row].as_py()
        return None if text is None else json.loads(text)

    return Chunk(
        time=time.to_numpy(),
        type=type_.to_numpy(),
        process=process.to_numpy(),
        f=_codes(f, history.names),
        value=value.to_numpy(),
        has_value=has_value,
        offset=offset.fill_null(-1).to_numpy(),
        node=_codes(node, history.nodes),
        has_data=data.is_valid().to_numpy(zero_copy_only=False),
        data=decoded,
        error=lambda row: error[row].as_py(),
    )


def _codes(column: pa.DictionaryArray, names: list[str]) -> Ints:
    """Return a dictionary column as codes into our own list, -1 for null."""
    here = []
    for name in column.dictionary.to_pylist():
        if name not in names:
            names.append(name)
        here.append(names.index(name))
    indices = column.indices
    if indices.null_count:
        indices = indices.fill_null(len(here))
    lookup: Ints = np.array([*here, -1], dtype=np.int64)
    codes: Ints = lookup[indices.to_numpy()]
    return codes


def from_ops(ops: Iterable[Op], *, complete: bool = True) -> History:
    """Return a foreign history (EDN, JSON lines, a test's own) in columns.

    As in Jepsen's ``expand-queue-drain-ops``, each element of an ok drain becomes an ok dequeue.
    """
    names: dict[str, int] = {}
    nodes: dict[str, int] = {}
    labels: dict[tuple[str, Any], int] = {}
    originals: list[Any] = []

    def code(value: Any) -> int:
        key = (type(value).__name__, repr(value))
        if key not in labels:
            labels[key] = len(originals)
            originals.append(value)
        return labels[key]

    rows: list[tuple[int, ...]] = []
    extras: list[tuple[Any, str | None]] = []
    for op in ops:
        for one in _expanded(op):
            rows.append(
                (
                    one.time,
                    TYPE_CODES[one.type],
                    one.process,
                    names.setdefault(one.f, len(names)),
                    code(one.value),
                    nodes.setdefault(one.node, len(nodes)) if one.node is not None else -1,
                    -1 if one.offset is None else one.offset,
                )
            )
            extras.append((one.data, one.error))
    table: Ints = np.array(rows, dtype=np.int64).reshape(-1, 7)
    time, type_, process, f, value, node, offset = (table[:, column] for column in range(7))
    chunk = Chunk(
        time=time,
        type=type_,
        process=process,
        f=f,
        value=value,
        has_value=np.ones(len(table), dtype=bool),
        offset=offset,
        node=node,
        has_data=np.array([data is not None for data, _ in extras], dtype=bool),
        data=lambda row: extras[row][0],
        error=lambda row: extras[row][1],
    )
    return History(lambda _: iter((chunk,)), list(names), list(nodes), originals, complete)


def _expanded(op: Op) -> Iterator[Op]:
    if op.f == "drain" and op.type == "ok" and isinstance(op.value, list | tuple):
        for element in op.value:
            yield Op("ok", "dequeue", element, op.process, op.time, op.node)
    yield op
