"""A history in columns, in chunks: what checkers read.

A chunk is a stretch of rows as numpy arrays. Names (f, node) are codes into the history's own lists; a value is an
int64, which for our histories is the value itself and for foreign ones a code that ``History.label`` turns back.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jepsenvm.errors import UsageError
from jepsenvm.history import edn
from jepsenvm.history.op import NEMESIS, TYPES, Op, Type

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_A = TypeVar("_A", Ints, Mask)

CHUNK_ROWS: Final = 1 << 18

TYPE_CODES: Final = {name: code for code, name in enumerate(TYPES)}


class _Column(Generic[_A]):
    """A chunk's column, read when it is first asked for."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, chunk: Chunk, owner: type) -> _A:
        # Kept under its own name, so that the next look finds it there and does not come here again.
        column: _A = chunk.__dict__.setdefault(self._name, chunk.read(self._name))
        return column


class Chunk:
    """A stretch of rows, all arrays of one length; ``value`` means something only where ``has_value`` is set.

    A column that is not asked for is not read: most passes over a history need three of nine. ``read`` reads one anew,
    and also the whole columns ``data`` and ``error``, as lists.
    """

    def __init__(
        self,
        read: Callable[[str], Any],
        data: Callable[[int], Any],
        error: Callable[[int], str | None],
    ) -> None:
        self.read = read
        self.data = data
        """The row's ``data``, decoded, or None."""
        self.error = error

    time = _Column[Ints]()
    type = _Column[Ints]()
    process = _Column[Ints]()
    f = _Column[Ints]()
    value = _Column[Ints]()
    has_value = _Column[Mask]()
    offset = _Column[Ints]()
    """Where in a stream a record was read; -1 where that means nothing."""
    node = _Column[Ints]()
    has_data = _Column[Mask]()
    """Where ``data`` is not None; decoding it is slow, so this is to be asked first."""

    def but(self, **columns: Ints) -> Chunk:
        """Return the same rows with these columns in place of their own."""
        return Chunk(
            lambda name: columns[name] if name in columns else self.read(name),
            self.data,
            self.error,
        )


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
        return self._survey[0][type, f]

    @cached_property
    def _survey(self) -> tuple[Counter[tuple[str, str]], list[Op]]:
        """How many ops there are of each type and f, and the nemesis' ops: one pass, however often asked for."""
        counts: Counter[tuple[str, str]] = Counter()
        nemesis: list[Op] = []
        for chunk in self:
            for code, count in enumerate(np.bincount(chunk.f * len(TYPES) + chunk.type)):
                counts[TYPES[code % len(TYPES)], self.names[code // len(TYPES)]] += int(count)
            nemesis += self._ops(chunk, np.flatnonzero(chunk.process == NEMESIS))
        return counts, nemesis

    def times(self, type: Type, f: str) -> Ints:
        """Return when ops of this type and f were recorded, in nanoseconds since the run began."""
        return self._gather(type, f, lambda chunk: chunk.time, with_value=False)

    def _gather(
        self, type: Type, f: str, column: Callable[[Chunk], Ints], *, with_value: bool
    ) -> Ints:
        parts = []
        for chunk in self:
            rows = self.mask(chunk, type, f)
            parts.append(column(chunk)[rows & chunk.has_value if with_value else rows])
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    def ops(self, process: int | None = None) -> Iterator[Op]:
        """Yield the ops one by one, of one process if asked: for the few, not for the millions."""
        for chunk in self:
            rows = (
                np.arange(len(chunk.process))
                if process is None
                else np.flatnonzero(chunk.process == process)
            )
            yield from self._ops(chunk, rows)

    def _ops(self, chunk: Chunk, rows: Ints) -> Iterator[Op]:
        if not len(rows):
            return  # and read no column for it
        columns = (
            chunk.type,
            chunk.f,
            chunk.value,
            chunk.has_value,
            chunk.process,
            chunk.time,
            chunk.node,
        )
        lists = [column[rows].tolist() for column in (*columns, chunk.offset)]
        if len(rows) == len(chunk.type):
            lists += [chunk.read("error"), chunk.read("data")]
        else:
            lists += [
                [chunk.error(row) for row in rows.tolist()],
                [chunk.data(row) for row in rows.tolist()],
            ]
        for type_, f, value, has_value, process, time, node, offset, error, data in zip(
            *lists, strict=True
        ):
            yield Op(
                type=TYPES[type_],
                f=self.names[f],
                value=self.label(value) if has_value else None,
                process=process,
                time=time,
                node=self.nodes[node] if node >= 0 else None,
                error=error,
                data=data,
                offset=offset if offset >= 0 else None,
            )

    def nemesis_ops(self) -> list[Op]:
        """Return the nemesis' ops."""
        return list(self._survey[1])


def open_arrow(path: Path) -> History:
    """Return the history in a journal's file, read chunk by chunk; raise UsageError if it is none."""
    try:
        # Mapped once for all passes: what they all read is then in memory once, and the kernel may take it back.
        mapped = pa.memory_map(str(path)).read_buffer()
        schema = pa.ipc.open_stream(mapped).schema
    except (OSError, pa.ArrowInvalid) as problem:
        raise UsageError(f"{path}: not a history of ours: {problem}") from None
    if b"jepsenvm" not in (schema.metadata or {}):
        raise UsageError(f"{path}: an Arrow stream, but not a history of ours")
    return History(partial(_arrow_chunks, mapped))


def _arrow_chunks(mapped: pa.Buffer, history: History) -> Iterator[Chunk]:
    """Yield the journal's small batches joined to large chunks: what a chunk costs is then nothing beside its rows."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in _batches(mapped, history):
        waiting.append(batch)
        rows += len(batch)
        if rows >= CHUNK_ROWS:
            yield _chunk(waiting, history)
            waiting, rows = [], 0
    if waiting:
        yield _chunk(waiting, history)


def _batches(mapped: pa.Buffer, history: History) -> Iterator[pa.RecordBatch]:
    reader = pa.ipc.open_stream(mapped)
    while True:
        try:
            yield reader.read_next_batch()
        except StopIteration:
            # Arrow takes a plain end of file for an end of stream: only our end mark says that it was closed.
            history.complete = mapped[-8:].to_pybytes() == b"\xff\xff\xff\xff\x00\x00\x00\x00"
            return
        except (OSError, pa.ArrowInvalid):
            history.complete = False
            return


def _chunk(batches: Sequence[pa.RecordBatch], history: History) -> Chunk:
    table = pa.Table.from_batches(batches).unify_dictionaries()
    # Names are the history's before any of its rows is looked at: a mask asks them first.
    codes = {"f": _codes(table["f"], history.names), "node": _codes(table["node"], history.nodes)}

    def named(name: str) -> Ints:
        indices = pa.chunked_array([part.indices for part in table[name].chunks])
        found: Ints = codes[name][_filled(indices, len(codes[name]) - 1)]
        return found

    readers: Mapping[str, Callable[[], Any]] = {
        "f": lambda: named("f"),
        "node": lambda: named("node"),
        "value": lambda: _filled(table["value"], 0),
        "has_value": lambda: table["value"].is_valid().to_numpy(),
        "offset": lambda: _filled(table["offset"], -1),
        "has_data": lambda: table["data"].is_valid().to_numpy(),
        "error": lambda: _texts(table["error"]),
        "data": lambda: [_decoded(text) for text in _texts(table["data"])],
    }
    return Chunk(
        lambda name: readers[name]() if name in readers else table[name].to_numpy(),
        lambda row: _decoded(table["data"][row].as_py()),
        lambda row: table["error"][row].as_py(),
    )


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    if column.null_count == len(column):
        return [None] * len(column)
    texts: list[str | None] = column.to_pylist()
    return texts


def _decoded(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _filled(column: pa.ChunkedArray, null: int) -> Any:
    """Return a column's numbers, with this one for null; without a null there is nothing to be copied for it."""
    return (column.fill_null(null) if column.null_count else column).to_numpy()


def _codes(column: pa.ChunkedArray, names: list[str]) -> Ints:
    """Return our own code for each name of a column's dictionary, and -1 at the end, for null."""
    here = []
    for name in column.chunk(0).dictionary.to_pylist():
        if name not in names:
            names.append(name)
        here.append(names.index(name))
    return np.array([*here, -1], dtype=np.int64)


def from_ops(ops: Iterable[Op], *, complete: bool = True) -> History:
    """Return a foreign history (EDN, JSON lines, a test's own) in columns.

    As in Jepsen's ``expand-queue-drain-ops``, each element of an ok drain becomes an ok dequeue.
    """
    names: dict[str, int] = {}
    nodes: dict[str, int] = {}
    labels: dict[Any, int] = {}
    originals: list[Any] = []

    def code(value: Any) -> int:
        known = labels.setdefault(_identity(value), len(originals))
        if known == len(originals):
            originals.append(value)
        return known

    columns = {
        name: array("q") for name in ("time", "type", "process", "f", "value", "node", "offset")
    }
    add = [column.append for column in columns.values()]
    # Few ops have an error or data.
    errors: dict[int, str] = {}
    datas: dict[int, Any] = {}
    for row, op in enumerate(chain.from_iterable(map(_expanded, ops))):
        fields = (
            op.time,
            TYPE_CODES[op.type],
            op.process,
            names.setdefault(op.f, len(names)),
            code(op.value),
            -1 if op.node is None else nodes.setdefault(op.node, len(nodes)),
            -1 if op.offset is None else op.offset,
        )
        for append, field_ in zip(add, fields, strict=True):
            append(field_)
        if op.error is not None:
            errors[row] = op.error
        if op.data is not None:
            datas[row] = op.data
    rows = len(columns["time"])
    table: dict[str, npt.NDArray[Any]] = {
        name: np.frombuffer(column, np.int64) for name, column in columns.items()
    }
    table["has_value"] = np.ones(rows, dtype=bool)
    table["has_data"] = np.isin(np.arange(rows), list(datas))
    rare: Mapping[str, Callable[[int], Any]] = {"data": datas.get, "error": errors.get}
    chunk = Chunk(
        lambda name: table[name] if name in table else list(map(rare[name], range(rows))),
        datas.get,
        errors.get,
    )
    return History(lambda _: iter((chunk,)), list(names), list(nodes), originals, complete)


def _identity(value: Any) -> Any:
    """Return what tells values apart: in Python, 1, 1.0 and True are equal, and much that is EDN cannot be hashed."""
    kind = type(value)
    return value if kind is int or kind is str else (kind.__name__, edn.written(value))


def _expanded(op: Op) -> Iterator[Op]:
    for element in drained(op) or ():
        yield Op("ok", "dequeue", element, op.process, op.time, op.node)
    yield op


def drained(op: Op) -> list[Any] | None:
    """Return what a drain has for elements, or None if the op is no drain that was ok and tells them."""
    if (
        op.f != "drain"
        or op.type != "ok"
        or not isinstance(op.value, list | tuple | set | frozenset)
    ):
        return None
    # A set has no order of its own; the history is to be the same each time that it is read.
    return (
        sorted(op.value, key=edn.written)
        if isinstance(op.value, set | frozenset)
        else list(op.value)
    )
