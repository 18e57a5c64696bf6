"""A history in columns, which checkers read chunk by chunk.

A chunk holds consecutive rows as numpy arrays. Names (f, node) are codes: indices into the lists
``History.names`` and ``History.nodes``. A value is an int64. In a journal of jepsenvm it is the
value itself; in a foreign history it is a code, and ``History.label`` returns the value.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jepsenvm.history import edn
from jepsenvm.history.nemesis_records import SCHEDULE
from jepsenvm.history.op import NEMESIS, TYPES, Op, Type
from jepsenvm.history.plain_lines import Coded, PlainRows, value_of

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_A = TypeVar("_A", Ints, Mask)

CHUNK_ROWS: Final = 1 << 18
"""Small batches of a journal are joined to chunks of at least this many rows."""

LARGE_BATCH: Final = 1 << 10
"""Batches of at least this many rows are read where they are in the file."""

TYPE_CODES: Final = {name: code for code, name in enumerate(TYPES)}


class _Column(Generic[_A]):
    """A column of a chunk, read at its first use and then kept in the chunk."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, chunk: Chunk, owner: type) -> _A:
        # The array is kept in the chunk's __dict__ under the column's own name. A descriptor
        # without __set__ yields to the instance, so the next access finds the array directly.
        column: _A = chunk.__dict__.setdefault(self._name, chunk.read(self._name))
        return column


class Chunk:
    """Consecutive rows of a history. All columns have the same length.

    Columns are read lazily: most passes over a history need three of the nine, and reading fewer
    bytes is most of what makes a check fast. ``value`` is meaningful only where ``has_value`` is
    true.
    """

    def __init__(
        self,
        *,
        read: Callable[[str], Any],
        data: Callable[[int], Any],
        error: Callable[[int], str | None],
    ) -> None:
        """Make a chunk from the functions that read it.

        ``read``   returns a whole column by its name; also ``data`` and ``error``, as lists.
        ``data``   returns the decoded data of a row, or None.
        ``error``  returns the error of a row, or None.
        """
        self.read = read
        self.data = data
        self.error = error

    def narrow(self, name: str) -> npt.NDArray[Any]:
        """Return a column of numbers in the width in which it is stored, if that is narrower.

        It is for comparisons and selections, which are faster then. Sums may overflow.
        """
        column: npt.NDArray[Any] = getattr(self, name)
        return column

    def rows_of_no_client(self) -> Ints:
        """Return the rows of the nemesis, and those without a process."""
        return np.flatnonzero(self.process < 0)

    time = _Column[Ints]()
    type = _Column[Ints]()
    process = _Column[Ints]()
    f = _Column[Ints]()
    value = _Column[Ints]()
    has_value = _Column[Mask]()
    offset = _Column[Ints]()
    """The offset in a stream at which a record was read; -1 for other ops."""
    node = _Column[Ints]()
    has_data = _Column[Mask]()
    """Whether a row has ``data``. Test it before ``data(row)``, because decoding is slow."""

    def with_columns(self, **columns: Ints) -> Chunk:
        """Return the same rows with these columns replaced."""

        def read(name: str) -> Any:
            return columns[name] if name in columns else self.read(name)

        return Chunk(read=read, data=self.data, error=self.error)


@dataclass(frozen=True)
class _Survey:
    """What one pass over a history collects."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The number of ops by type and f."""
    counts_with_data: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The number of ops with data by type and f."""
    counts_of_no_client: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The number of ops of the nemesis, or without a process, by type and f."""
    nemesis_ops: list[Op] = field(default_factory=list)


@dataclass
class History:
    """Ops in the order in which they were recorded.

    Iterate over a history to get its chunks; it can be iterated repeatedly. ``names`` and ``nodes``
    are complete for the chunks that were read. ``labels`` are the values of a foreign history by
    their codes, None for a journal of jepsenvm.
    """

    _chunks: Callable[[History], Iterator[Chunk]]
    names: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    labels: Sequence[Any] | None = None
    complete: bool = True
    """False if ops are missing at the end: the file is cut short or damaged."""
    damage: str | None = None
    """What is wrong with the file, beyond that it may be cut short; None if nothing is."""
    plan: str | None = None
    """The plan of the run as YAML, if the history has it."""
    about: Mapping[str, str] = field(default_factory=dict)
    """What a journal says about itself, such as the names of its other segments."""
    doubts: Sequence[str] = ()
    """Why the file's ops were not all understood, such as ops without a value."""

    def __iter__(self) -> Iterator[Chunk]:
        return self._chunks(self)

    def share_names(self, parts: Iterable[History]) -> None:
        """Let the codes of names mean the same in the chunks of these parts as in this history."""
        for part in parts:
            part.names, part.nodes = self.names, self.nodes

    def label(self, value: int) -> Any:
        """Return the value that a code stands for."""
        return int(value) if self.labels is None else self.labels[int(value)]

    def mask(self, chunk: Chunk, type: Type, f: str) -> Mask:
        """Return whether each row of a chunk has this type and f."""
        types = chunk.narrow("type")
        if f not in self.names:
            return np.zeros(len(types), dtype=bool)
        selected: Mask = (types == TYPE_CODES[type]) & (chunk.narrow("f") == self.names.index(f))
        return selected

    def values(self, type: Type, f: str) -> Ints:
        """Return the values of all ops of this type and f that have a value, in order."""
        parts = [np.empty(0, dtype=np.int64)]
        for chunk in self:
            parts.append(chunk.value[self.mask(chunk, type, f) & chunk.has_value])
        return np.concatenate(parts)

    def count(self, type: Type, f: str) -> int:
        """Return how many ops have this type and f."""
        return self._survey.counts[type, f]

    def counts(self) -> Counter[tuple[str, str]]:
        """Return how many ops there are by type and f."""
        return Counter(self._survey.counts)

    def counts_of_no_client(self) -> Counter[tuple[str, str]]:
        """Return how many ops of the nemesis, or without a process, there are by type and f."""
        return Counter(self._survey.counts_of_no_client)

    def count_with_data(self, type: Type, f: str) -> int:
        """Return how many ops of this type and f have data."""
        return self._survey.counts_with_data[type, f]

    @cached_property
    def _survey(self) -> _Survey:
        """What nearly every checker needs; one pass collects it, and it is kept."""
        survey = _Survey()
        for chunk in self:
            packed = chunk.narrow("f").astype(np.int64)
            packed *= len(TYPES)  # in place, because a new array costs more than the product
            packed += chunk.narrow("type")
            self._count(survey.counts, packed)
            self._count(survey.counts_with_data, packed[chunk.has_data])
            if len(of_no_client := chunk.rows_of_no_client()):
                self._count(survey.counts_of_no_client, packed[of_no_client])
                of_nemesis = of_no_client[chunk.process[of_no_client] == NEMESIS]
                survey.nemesis_ops.extend(self.ops_at(chunk, of_nemesis))
        return survey

    def _count(self, counts: Counter[tuple[str, str]], packed: Ints) -> None:
        by_code = np.bincount(packed)
        for code in np.flatnonzero(by_code).tolist():
            counts[TYPES[code % len(TYPES)], self.names[code // len(TYPES)]] += int(by_code[code])

    def ops(self) -> Iterator[Op]:
        """Yield the ops one by one. This is slow for millions of ops; use the chunks for those."""
        for chunk in self:
            yield from self.ops_at(chunk, np.arange(len(chunk.process)))

    def ops_at(self, chunk: Chunk, rows: Ints) -> Iterator[Op]:
        """Yield the ops in these rows of a chunk."""
        if not len(rows):
            return  # without reading any column
        columns = (
            chunk.type,
            chunk.f,
            chunk.value,
            chunk.has_value,
            chunk.process,
            chunk.time,
            chunk.node,
            chunk.offset,
        )
        lists = [column[rows].tolist() for column in columns]
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

    @property
    def own(self) -> bool:
        """Whether a run of jepsenvm recorded the history, in whatever format it is now."""
        return self.plan is not None or any(
            isinstance(op.data, list) if op.f == SCHEDULE else _is_of_fault(op.data)
            for op in self._survey.nemesis_ops
        )

    def nemesis_ops(self) -> list[Op]:
        """Return the nemesis' ops."""
        return list(self._survey.nemesis_ops)


def _is_of_fault(data: Any) -> bool:
    return isinstance(data, dict) and "window" in data and "phase" in data


def history_of_stream(stream: pa.Buffer) -> History:
    """Return the history in an Arrow IPC stream whose bytes are known to be undamaged."""
    return History(_JoinedBatches(stream).chunks)


class _JoinedBatches:
    """The batches of a journal, joined to large tables once.

    Consumers write each delivery before they acknowledge it, so a journal may have a batch for
    every few rows, and every checker reads all of them several times.
    """

    def __init__(self, stream: pa.Buffer) -> None:
        self._stream = stream
        self._tables: list[pa.Table] | None = None
        """None until the stream was read to its end."""

    def chunks(self, history: History) -> Iterator[Chunk]:
        """Yield the rows in large chunks; a chunk costs some time of its own."""
        if self._tables is not None:
            for table in self._tables:
                yield _chunk(table, history)
            return
        tables = []
        for table in joined_tables(self._stream, complete=history.complete):
            tables.append(table)
            yield _chunk(table, history)
        self._tables = tables


def joined_tables(stream: pa.Buffer, *, complete: bool = True) -> Iterator[pa.Table]:
    """Yield the rows of an undamaged journal in large tables; see ``read_batches``."""
    batches: list[pa.RecordBatch] = []
    rows = 0
    for batch in read_batches(stream, complete=complete):
        batches.append(batch)
        rows += len(batch)
        if rows >= CHUNK_ROWS:
            yield _joined(batches)
            batches, rows = [], 0
    if batches:
        yield _joined(batches)


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    """Return the rows of some batches. Only small batches are copied."""
    table = pa.Table.from_batches(batches).unify_dictionaries()
    return table if len(table) >= LARGE_BATCH * len(batches) else table.combine_chunks()


def read_batches(stream: pa.Buffer, *, complete: bool = True) -> Iterator[pa.RecordBatch]:
    """Yield the batches of an undamaged file; ``complete`` is False if it may be cut short."""
    reader = pa.ipc.open_stream(stream)
    while True:
        try:
            yield reader.read_next_batch()
        except StopIteration:
            return
        except pa.ArrowInvalid:
            # A batch follows the names that are new in it. If the history ends between them, Arrow
            # misses the batch.
            if complete:
                raise
            return


def _chunk(table: pa.Table, history: History) -> Chunk:
    # Names are added to the history now and not at the first use of the column, because a mask
    # looks up the name before it reads the column.
    codes = {
        "f": history_codes(table["f"].chunk(0).dictionary, history.names),
        "node": history_codes(table["node"].chunk(0).dictionary, history.nodes),
    }

    def named(name: str) -> Ints:
        indices = pa.chunked_array([part.indices for part in table[name].chunks])
        # The last code is that of null.
        column: Ints = codes[name][_filled(indices, len(codes[name]) - 1)]
        return column

    readers: Mapping[str, Callable[[], Any]] = {
        "f": lambda: named("f"),
        "node": lambda: named("node"),
        "value": lambda: _filled(table["value"], 0),
        "has_value": lambda: table["value"].is_valid().to_numpy(),
        "offset": lambda: _filled(table["offset"], -1),
        "has_data": lambda: table["data"].is_valid().to_numpy(),
        "error": lambda: _texts(table["error"]),
        "data": lambda: [decoded_data(text) for text in _texts(table["data"])],
    }
    return Chunk(
        read=lambda name: readers[name]() if name in readers else table[name].to_numpy(),
        data=lambda row: decoded_data(table["data"][row].as_py()),
        error=lambda row: table["error"][row].as_py(),
    )


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    if column.null_count == len(column):
        return [None] * len(column)
    texts: list[str | None] = column.to_pylist()
    return texts


def decoded_data(text: str | None) -> Any:
    """Return the data of an op from its text in a journal."""
    return None if text is None else json.loads(text)


def _filled(column: pa.ChunkedArray, null: int) -> Any:
    """Return a column of numbers with nulls replaced; without nulls nothing is copied."""
    return (column.fill_null(null) if column.null_count else column).to_numpy()


def history_codes(dictionary: pa.Array, names: list[str]) -> Ints:
    """Return the history's code for each name of a column's dictionary, then -1 for null.

    Names that the history does not have yet are added to it.
    """
    codes = []
    for name in dictionary.to_pylist():
        if name not in names:
            names.append(name)
        codes.append(names.index(name))
    return np.array([*codes, -1], dtype=np.int64)


def from_ops(ops: Iterable[Op | PlainRows], *, complete: bool = True) -> History:
    """Return ops (of a foreign file, or made by a test) as a history in memory.

    Each value of an ok drain becomes an ok dequeue before the drain, as in Jepsen's
    ``expand-queue-drain-ops``. ``complete`` is False for a history that was cut short.
    """
    columns = _ColumnsInMemory()
    for op in ops:
        if isinstance(op, PlainRows):
            columns.extend(op)
        else:
            for each in _with_expanded_drain(op):
                columns.append(each)
    chunk = columns.chunk()
    names, nodes = list(columns.names), list(columns.nodes)
    return History(lambda _: iter((chunk,)), names, nodes, columns.labels, complete)


class _ColumnsInMemory:
    """The columns of a history in memory, while its ops are added."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.nodes: dict[str, int] = {}
        self.labels: list[Any] = []
        self._codes_by_value: dict[Any, int] = {}
        self._columns = {
            name: array("q") for name in ("time", "type", "process", "f", "value", "node", "offset")
        }
        # The bound methods are looked up once: ``append`` runs for every op of a file.
        self._append_functions = [column.append for column in self._columns.values()]
        # Few ops have an error or data, so these are kept by row.
        self._errors: dict[int, str] = {}
        self._datas: dict[int, Any] = {}

    def append(self, op: Op) -> None:
        """Add an op."""
        row = len(self._columns["time"])
        fields = (
            op.time,
            TYPE_CODES[op.type],
            op.process,
            self._name_code(op.f),
            self._value_code(op.value),
            -1 if op.node is None else self._node_code(op.node),
            -1 if op.offset is None else op.offset,
        )
        for append, field_ in zip(self._append_functions, fields, strict=True):
            append(field_)
        if op.error is not None:
            self._errors[row] = op.error
        if op.data is not None:
            self._datas[row] = op.data

    def extend(self, rows: PlainRows) -> None:
        """Add the ops of plain rows."""
        none = np.full(len(rows), -1, dtype=np.int64)
        columns = {
            "time": rows.time,
            "type": rows.type,
            "process": rows.process,
            "f": _recoded(rows.f, self._name_code_of_text),
            "value": _recoded(rows.value, self._value_code_of_text),
            "node": none if rows.node is None else _recoded(rows.node, self._node_code),
            "offset": none,
        }
        for name, column in columns.items():
            self._columns[name].frombytes(column.tobytes())

    def chunk(self) -> Chunk:
        """Return the ops."""
        return _chunk_in_memory(self._columns, self._errors, self._datas)

    def _name_code(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))

    def _name_code_of_text(self, text: str) -> int:
        return self._name_code(text.removeprefix(":"))

    def _node_code(self, node: str) -> int:
        return self.nodes.setdefault(node, len(self.nodes))

    def _value_code(self, value: Any) -> int:
        code = self._codes_by_value.setdefault(_value_key(value), len(self.labels))
        if code == len(self.labels):
            self.labels.append(value)
        return code

    def _value_code_of_text(self, text: str) -> int:
        return self._value_code(value_of(text))


def _recoded(column: Coded, code_of: Callable[[str], int]) -> Ints:
    """Return the history's code for each text of a column, the first texts first."""
    codes = np.empty(len(column.texts), dtype=np.int64)
    for code in np.flatnonzero(np.bincount(column.codes)).tolist():
        codes[code] = code_of(column.texts[code])
    recoded: Ints = codes[column.codes]
    return recoded


def _chunk_in_memory(
    columns: Mapping[str, array[int]], errors: Mapping[int, str], datas: Mapping[int, Any]
) -> Chunk:
    rows = len(columns["time"])
    arrays: dict[str, npt.NDArray[Any]] = {
        name: np.frombuffer(column, np.int64) for name, column in columns.items()
    }
    arrays["has_value"] = np.ones(rows, dtype=bool)
    arrays["has_data"] = np.isin(np.arange(rows), list(datas))
    by_row: Mapping[str, Callable[[int], Any]] = {"data": datas.get, "error": errors.get}

    def read(name: str) -> Any:
        return arrays[name] if name in arrays else list(map(by_row[name], range(rows)))

    return Chunk(read=read, data=datas.get, error=errors.get)


def _value_key(value: Any) -> Any:
    """Return a hashable key that is equal for equal values, and differs for different values.

    The value itself cannot be the key: in Python 1, 1.0 and True are equal, a list never equals a
    tuple, and many forms of EDN cannot be hashed. ``written`` gives equal sets and maps the same
    text.
    """
    kind = type(value)
    return value if kind is int else edn.written(value)


def _with_expanded_drain(op: Op) -> Iterator[Op]:
    for value in drained_values(op) or ():
        yield Op("ok", "dequeue", value, op.process, op.time, op.node)
    yield op


def drained_values(op: Op) -> list[Any] | None:
    """Return the values of an ok drain, or None if the op is not an ok drain with a collection."""
    collection = isinstance(op.value, list | tuple | set | frozenset)
    if op.f != "drain" or op.type != "ok" or not collection:
        return None
    if isinstance(op.value, set | frozenset):
        # A set has no order of its own; sorting gives the same history at each reading.
        return sorted(op.value, key=edn.written)
    return list(op.value)
