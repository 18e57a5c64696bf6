"""The compact form of a journal, "history 3": large batches of narrow columns.

| column | how it is stored |
| --- | --- |
| ``time`` | nanoseconds since the row before; in the first row of a batch, since the run began |
| ``type`` | index into TYPES |
| ``f``, ``node`` | codes of names, of 8 bits if there are few names |
| ``process`` | codes of processes, because those of a drain have high numbers |
| ``error``, ``data`` | run-end encoded codes of texts: rows without text take no space |
| ``offset`` | no values at all if no op of the file has an offset |

Times, values and offsets have 32 bits. The few that do not fit are in a second column, such as
``value-wide``, which is run-end encoded and null for all other rows. Reading copies nothing that is
not asked for: the columns lie in the file as they are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jepsenvm.history.checksums import COMPACT
from jepsenvm.history.table import (
    Chunk,
    History,
    Ints,
    Mask,
    decoded_data,
    history_codes,
    read_batches,
)

NUMBERS: Final = ("time", "value", "offset")
NAMES: Final = ("f", "node")
TEXTS: Final = ("error", "data")

_RUN_ENDS: Final = pa.int32()
_PROCESSES: Final = pa.dictionary(pa.int32(), pa.int64())
_TEXTS: Final = pa.run_end_encoded(_RUN_ENDS, pa.dictionary(pa.int32(), pa.utf8()))
_NULL_OFFSET: Final = -1
"""What a chunk has for an op without an offset. A value that is null is 0."""


def compact_schema(
    metadata: Mapping[bytes, bytes], *, names: Mapping[str, int], has_offsets: bool
) -> pa.Schema:
    """Return the schema of a compact file.

    ``metadata``     that of the journal.
    ``names``        how many names the columns of NAMES have.
    ``has_offsets``  whether any op has an offset.
    """
    numbers = {name: pa.int32() for name in NUMBERS}
    if not has_offsets:
        numbers["offset"] = pa.null()
    return pa.schema(
        [
            *numbers.items(),
            *((_wide(name), pa.run_end_encoded(_RUN_ENDS, pa.int64())) for name in NUMBERS),
            ("type", pa.int8()),
            ("process", _PROCESSES),
            *((name, pa.dictionary(_code_type(names[name]), pa.utf8())) for name in NAMES),
            *((name, _TEXTS) for name in TEXTS),
        ],
        metadata={**metadata, b"jepsenvm": COMPACT},
    )


def _code_type(names: int) -> pa.DataType:
    return pa.int8() if names <= np.iinfo(np.int8).max else pa.int32()


def _wide(name: str) -> str:
    return f"{name}-wide"


def compacted(table: pa.Table, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows of a journal as one batch of a compact file."""
    table = table.combine_chunks()
    columns = {
        "type": _only_chunk(table["type"]),
        "process": _only_chunk(table["process"]).dictionary_encode(),
    }
    for name in NUMBERS:
        column = _only_chunk(table[name])
        if name == "time":
            column = pa.array(np.diff(column.to_numpy(), prepend=0))
        columns[name], columns[_wide(name)] = _split(column, schema.field(name).type)
    for name in NAMES:
        columns[name] = _only_chunk(table[name]).cast(schema.field(name).type)
    for name in TEXTS:
        runs = pc.run_end_encode(_only_chunk(table[name]), run_end_type=_RUN_ENDS)
        columns[name] = pa.RunEndEncodedArray.from_arrays(
            runs.run_ends, runs.values.dictionary_encode(), type=_TEXTS
        )
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def _only_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0)


def _split(column: pa.Array, narrow_type: pa.DataType) -> tuple[pa.Array, pa.Array]:
    """Return the numbers that are narrow, and those that are not; the others are 0 and null."""
    if pa.types.is_null(narrow_type):
        narrow, wide = pa.nulls(len(column)), pa.nulls(len(column), pa.int64())
    else:
        numbers = column.fill_null(0).to_numpy()
        fits = numbers.astype(np.int32) == numbers
        missing = column.is_null().to_numpy(zero_copy_only=False)
        narrow = pa.array(np.where(fits, numbers, 0).astype(np.int32), mask=missing)
        # Arrow begins a new run where two nulls hide different numbers.
        wide = pa.array(np.where(fits, 0, numbers), mask=fits)
    return narrow, pc.run_end_encode(wide, run_end_type=_RUN_ENDS)


def differing_columns(table: pa.Table, batch: pa.RecordBatch) -> list[str]:
    """Return in which columns a batch of a compact file differs from rows of a journal."""
    table = table.combine_chunks()
    equal: dict[str, bool] = {
        "type": batch["type"].equals(_only_chunk(table["type"])),
        "process": np.array_equal(_processes(batch), _only_chunk(table["process"]).to_numpy()),
    }
    for name in NUMBERS:
        column = _only_chunk(table[name])
        expected = column.fill_null(_NULL_OFFSET if name == "offset" else 0).to_numpy()
        missing = column.is_null().to_numpy(zero_copy_only=False)
        equal[name] = np.array_equal(expected, _numbers(batch, name)) and np.array_equal(
            missing, ~_valid(batch[name])
        )
    for name in NAMES:
        texts = pa.utf8()
        equal[name] = batch[name].cast(texts).equals(_only_chunk(table[name]).cast(texts))
    for name in TEXTS:
        equal[name] = _decoded_runs(batch[name]).equals(_only_chunk(table[name]))
    return [name for name, same in equal.items() if not same]


def history_of_compact_stream(stream: pa.Buffer) -> History:
    """Return the history in a compact file whose bytes are known to be undamaged."""

    @cache
    def batches(*, complete: bool) -> Sequence[pa.RecordBatch]:
        return list(read_batches(stream, complete=complete))

    def chunks(history: History) -> Iterator[Chunk]:
        for batch in batches(complete=history.complete):
            yield _CompactChunk(batch, history)

    return History(chunks)


class _CompactChunk(Chunk):
    """The rows of one batch."""

    def __init__(self, batch: pa.RecordBatch, history: History) -> None:
        # Names are added to the history now; see ``table``.
        codes = {
            "f": history_codes(batch["f"].dictionary, history.names),
            "node": history_codes(batch["node"].dictionary, history.nodes),
        }
        readers: Mapping[str, Callable[[], Any]] = {
            **{name: partial(_numbers, batch, name) for name in NUMBERS},
            **{name: partial(_codes, batch[name], codes[name]) for name in NAMES},
            "type": partial(_types, batch),
            "process": partial(_processes, batch),
            "has_value": lambda: _valid(batch["value"]),
            "has_data": lambda: _has_text(batch["data"]),
            "error": lambda: _texts(batch["error"]),
            "data": lambda: [decoded_data(text) for text in _texts(batch["data"])],
        }
        super().__init__(
            read=lambda name: readers[name](),
            data=lambda row: decoded_data(batch["data"][row].as_py()),
            error=lambda row: batch["error"][row].as_py(),
        )
        self._batch, self._codes = batch, codes

    def narrow(self, name: str) -> npt.NDArray[Any]:
        """Return a column as it is stored, unless it has to be made of several."""
        if name in self._codes and _same_codes(self._codes[name]):
            return _indices(self._batch[name])
        if name == "value" and not _has_wide(self._batch, name):
            return _as_stored(self._batch[name])
        return super().narrow(name)

    def rows_of_no_client(self) -> Ints:
        """Return the rows of the nemesis, and those without a process."""
        if self._batch["process"].dictionary.to_numpy().min(initial=0) >= 0:
            return np.empty(0, dtype=np.int64)  # without reading the column
        return super().rows_of_no_client()


def _numbers(batch: pa.RecordBatch, name: str) -> Ints:
    """Return a column of numbers as a chunk has it."""
    narrow, wide = batch[name], batch[_wide(name)]
    if pa.types.is_null(narrow.type):
        return np.full(len(narrow), _NULL_OFFSET, dtype=np.int64)
    numbers: Ints = _as_stored(narrow).astype(np.int64)
    if name == "offset":
        numbers[~_valid(narrow)] = _NULL_OFFSET
    if _has_wide(batch, name):
        lengths, valid = _run_lengths(wide), _valid(wide.values)
        rows = np.flatnonzero(np.repeat(valid, lengths))
        numbers[rows] = np.repeat(_as_stored(wide.values)[valid], lengths[valid])
    if name == "time":
        # numpy's own ``cumsum`` takes five times as long.
        return _as_stored(pc.cumulative_sum(pa.array(numbers)))
    return numbers


def _has_wide(batch: pa.RecordBatch, name: str) -> bool:
    values = batch[_wide(name)].values
    return bool(values.null_count < len(values))


def _types(batch: pa.RecordBatch) -> npt.NDArray[np.int8]:
    types: npt.NDArray[np.int8] = batch["type"].to_numpy()
    return types


def _processes(batch: pa.RecordBatch) -> Ints:
    column = batch["process"]
    processes: Ints = np.take(column.dictionary.to_numpy(), column.indices.to_numpy())
    return processes


def _same_codes(codes: Ints) -> bool:
    """Return whether each code of a batch is that of the history."""
    return bool((codes[:-1] == np.arange(len(codes) - 1)).all())


def _indices(column: pa.DictionaryArray) -> npt.NDArray[Any]:
    """Return the batch's codes of a column of names, -1 for null."""
    indices = column.indices
    filled: npt.NDArray[Any] = (indices.fill_null(-1) if indices.null_count else indices).to_numpy()
    return filled


def _as_stored(column: pa.Array) -> npt.NDArray[Any]:
    """Return the numbers of a column without a copy, 0 where there is none."""
    without_nulls = pa.Array.from_buffers(
        column.type, len(column), [None, column.buffers()[1]], offset=column.offset
    )
    stored: npt.NDArray[Any] = without_nulls.to_numpy()
    return stored


def _codes(column: pa.DictionaryArray, codes: Ints) -> Ints:
    indices = _indices(column)
    # The last code is that of null.
    return indices.astype(np.int64) if _same_codes(codes) else codes[indices]


def _valid(column: pa.Array) -> Mask:
    """Return which rows of a column are not null."""
    bits = column.buffers()[0]
    if bits is None:
        return np.full(len(column), column.null_count == 0)
    # Arrow's own ``is_valid`` takes ten times as long.
    each = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")
    return each[column.offset : column.offset + len(column)].view(np.bool_)


def _run_lengths(column: pa.RunEndEncodedArray) -> npt.NDArray[np.int32]:
    lengths: npt.NDArray[np.int32] = np.diff(column.run_ends.to_numpy(), prepend=np.int32(0))
    return lengths


def _has_text(column: pa.RunEndEncodedArray) -> Mask:
    has_text: Mask = np.repeat(_valid(column.values.indices), _run_lengths(column))
    return has_text


def _decoded_runs(column: pa.RunEndEncodedArray) -> pa.Array:
    # Arrow cannot decode runs of codes.
    texts = column.values.cast(pa.utf8())
    return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(column.run_ends, texts))


def _texts(column: pa.RunEndEncodedArray) -> list[str | None]:
    if column.values.null_count == len(column.values):
        return [None] * len(column)
    texts: list[str | None] = _decoded_runs(column).to_pylist()
    return texts
