"""A history written in other formats, chunk by chunk: Jepsen's EDN, JSON lines, Parquet and CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from jepsenvm.history import edn
from jepsenvm.history.foreign import EDN_IN_JSON
from jepsenvm.history.op import NEMESIS, TYPES, Op
from jepsenvm.history.table import Chunk, History, drained

INTERRUPT: Final = "interrupt"
CUT_SHORT: Final = "the history that this was exported from is cut short"


def write_edn(history: History, out: BinaryIO) -> None:
    """Write one op map a line, as Jepsen's own histories are; Knossos and Elle read them."""
    _write_lines(history, out, _edn_line)


def write_jsonl(history: History, out: BinaryIO) -> None:
    """Write one JSON object a line; a value that JSON has no form for stands as its EDN: ``{"jepsenvm/edn": ":a"}``."""
    _write_lines(history, out, _json_line)


def _write_lines(history: History, out: BinaryIO, line: Callable[[int, Op], str]) -> None:
    ops = history.ops() if history.labels is None else _undivided(history.ops())
    lines = (line(index, op) for index, op in enumerate(_with_its_end(history, ops)))
    for some in iter(lambda: "".join(islice(lines, 1000)), ""):
        out.write(some.encode())


def _with_its_end(history: History, ops: Iterator[Op]) -> Iterator[Op]:
    """Yield the ops, and an interrupt for the end of a history that was cut short: text has no other mark of it."""
    time = 0
    for op in ops:
        time = op.time
        yield op
    if not history.complete:
        yield Op("info", INTERRUPT, process=NEMESIS, time=time, error=CUT_SHORT)


def _undivided(ops: Iterator[Op]) -> Iterator[Op]:
    """Yield the ops of a foreign history as they were read: without the dequeues that its drains were divided into."""
    waiting: list[Op] = []
    for op in ops:
        if (op.type, op.f) == ("ok", "dequeue"):
            waiting.append(op)
            continue
        # They stand right before their drain.
        yield from waiting[: len(waiting) - len(drained(op) or ())]
        waiting.clear()
        yield op
    yield from waiting


def _edn_line(index: int, op: Op) -> str:
    process = ":nemesis" if op.process == NEMESIS else op.process
    return (
        f"{{:index {index}, :time {op.time}, :type :{op.type}, :process {process}, "
        f":f {edn.keyword(op.f)}, :value {edn.written(op.value)}{''.join(_edn_rest(op))}}}\n"
    )


def _edn_rest(op: Op) -> Iterator[str]:
    for key in _WHERE_PRESENT:
        if (value := getattr(op, key)) is not None:
            yield f", :{key} {edn.written(value)}"


_WHERE_PRESENT: Final = ("node", "error", "data", "offset")


def _json_line(index: int, op: Op) -> str:
    entry = {
        "index": index,
        "time": op.time,
        "type": op.type,
        "process": "nemesis" if op.process == NEMESIS else op.process,
        # Readers take one colon off, since some write keywords into JSON.
        "f": f":{op.f}" if op.f.startswith(":") else op.f,
        "value": _in_json(op.value),
    }
    for key in _WHERE_PRESENT:
        if (value := getattr(op, key)) is not None:
            entry[key] = _in_json(value)
    return json.dumps(entry) + "\n"


def _in_json(value: Any) -> Any:
    return value if _is_json(value) else {EDN_IN_JSON: edn.written(value)}


def _is_json(value: Any) -> bool:
    """Return whether JSON gives this very value back: a keyword is a kind of str in Python, but not in JSON."""
    kind = type(value)
    if kind is list:
        return all(map(_is_json, value))
    if kind is dict:
        plain = all(type(key) is str for key in value) and all(map(_is_json, value.values()))
        return plain and EDN_IN_JSON not in value
    return value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value))


def write_parquet(history: History, out: BinaryIO) -> None:
    """Write a row for each op as checkers see it (a drain's elements are dequeues), a row group for each chunk.

    A value that is no integer of ours stands as its EDN, ``data`` as JSON; the nemesis is process -1.
    """
    with parquet.ParquetWriter(out, _schema(history), compression="zstd") as writer:
        _write_batches(history, writer.write_batch)


def write_csv(history: History, out: BinaryIO) -> None:
    """Write the rows of ``write_parquet`` as CSV with a header."""
    with csv.CSVWriter(out, _schema(history)) as writer:
        _write_batches(history, writer.write_batch)


def _schema(history: History) -> pa.Schema:
    texts, numbers = pa.utf8(), pa.int64()
    return pa.schema(
        [
            ("index", numbers),
            ("time", numbers),
            ("type", texts),
            ("process", numbers),
            ("f", texts),
            ("value", numbers if history.labels is None else texts),
            ("node", texts),
            ("error", texts),
            ("data", texts),
            ("offset", numbers),
        ]
    )


def _write_batches(history: History, write: Callable[[pa.RecordBatch], object]) -> None:
    schema, rows = _schema(history), 0
    for chunk in history:
        columns = _columns(chunk, history, rows)
        write(pa.record_batch([columns[name] for name in schema.names], schema=schema))
        rows += len(chunk.type)


def _columns(chunk: Chunk, history: History, begin: int) -> Mapping[str, pa.Array]:
    if history.labels is None:
        value = pa.array(chunk.value, mask=~chunk.has_value)
    else:
        value = pa.array(
            [edn.written(history.label(code)) for code in chunk.value.tolist()], pa.utf8()
        )
    data = chunk.read("data")
    return {
        "index": pa.array(np.arange(begin, begin + len(chunk.type))),
        "time": pa.array(chunk.time),
        "type": _named(chunk.type, TYPES),
        "process": pa.array(chunk.process),
        "f": _named(chunk.f, history.names),
        "value": value,
        "node": _named(chunk.node, history.nodes),
        "error": pa.array(chunk.read("error"), pa.utf8()),
        "data": pa.array(
            [None if each is None else json.dumps(_in_json(each)) for each in data], pa.utf8()
        ),
        "offset": pa.array(chunk.offset, mask=chunk.offset < 0),
    }


def _named(codes: Any, names: Any) -> pa.Array:
    """Return names for codes, null for -1."""
    indices = pa.array(codes, pa.int32(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.utf8())).cast(pa.utf8())


FORMATS: Final[Mapping[str, Callable[[History, BinaryIO], None]]] = {
    "edn": write_edn,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
    "csv": write_csv,
}
