"""Write a history in other formats, chunk by chunk: Jepsen's EDN, JSON lines, Parquet and CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from jepsenvm import steps
from jepsenvm.history import edn
from jepsenvm.history.nemesis_records import ABOUT, ENDED, INTERRUPT
from jepsenvm.history.op import NEMESIS, NO_PROCESS, TYPES, Op
from jepsenvm.history.readers import EDN_IN_JSON
from jepsenvm.history.table import Chunk, History, drained_values

CUT_SHORT: Final = "the history that this was exported from is cut short"
"""The ``error`` of the op that marks the end of an incomplete history."""

LINES_PER_WRITE: Final = 1000

EXPORTING: Final = "exporting ops"

_Marks = Mapping[str, Any]
"""The keys of an op beside those of ``Op``, with their values as JSON can represent them."""


def write_edn(history: History, out: BinaryIO) -> None:
    """Write one op map per line, as Jepsen does. Knossos and Elle read them."""
    _write_lines(history, out, _edn_line)


def write_jsonl(history: History, out: BinaryIO) -> None:
    """Write one JSON object per line.

    A value that JSON cannot represent is written as its EDN: ``{"jepsenvm/edn": ":a"}``.
    """
    _write_lines(history, out, _json_line)


def _write_lines(history: History, out: BinaryIO, line: Callable[[int, Op, _Marks], str]) -> None:
    ops = history.ops() if history.labels is None else _without_expanded_drains(history.ops())
    lines = (line(index, op, marks) for index, (op, marks) in enumerate(_marked(history, ops)))
    written, total = 0, _ops_to_write(history)
    # Many lines are written at once: a system call for each line would take most of the time.
    while lines_to_write := list(islice(lines, LINES_PER_WRITE)):
        out.write("".join(lines_to_write).encode())
        written += len(lines_to_write)
        steps.report(EXPORTING, written, total)


def _ops_to_write(history: History) -> int | None:
    """Return the number of ops for a progress bar; None if nobody sees one."""
    if not steps.is_heard():
        return None
    return sum(len(chunk.type) for chunk in history)


def _marked(history: History, ops: Iterator[Op]) -> Iterator[tuple[Op, _Marks]]:
    """Yield each op with the keys that mark the first op and the last one.

    A text that lost its end looks like a shorter history, so the last op of a complete history says
    that it is the last. A history that was cut short ends with an op ``interrupt`` of the nemesis.
    """
    marks: dict[str, Any] = {ABOUT: _about(history)}
    count, last = 0, None
    for op in ops:
        if last is not None:
            yield last, marks
            marks = {}
        last, count = op, count + 1
    if history.complete and last is not None:
        yield last, {**marks, ENDED: count}
        return
    if last is not None:
        yield last, marks
        marks = {}
    if not history.complete:
        time = 0 if last is None else last.time
        yield Op("info", INTERRUPT, process=NEMESIS, time=time, error=CUT_SHORT), marks


def _about(history: History) -> dict[str, Any]:
    about = {"plan": history.plan, "damage": history.damage}
    return {key: text for key, text in about.items() if text is not None}


def _without_expanded_drains(ops: Iterator[Op]) -> Iterator[Op]:
    """Yield the ops of a foreign history as they were read.

    ``from_ops`` puts a dequeue for each drained value before the drain. They are left out again
    here: reading the exported file would add them a second time.
    """
    dequeues: list[Op] = []
    for op in ops:
        if (op.type, op.f) == ("ok", "dequeue"):
            dequeues.append(op)
            continue
        yield from dequeues[: len(dequeues) - len(drained_values(op) or ())]
        dequeues.clear()
        yield op
    yield from dequeues


def _edn_line(index: int, op: Op, marks: _Marks) -> str:
    process = {NEMESIS: ":nemesis", NO_PROCESS: "nil"}.get(op.process, op.process)
    optional = "".join((*_optional_edn(op), *_edn_marks(marks)))
    return (
        f"{{:index {index}, :time {op.time}, :type :{op.type}, :process {process}, "
        f":f {edn.keyword(op.f)}, :value {edn.written(op.value)}{optional}}}\n"
    )


def _edn_marks(marks: _Marks) -> Iterator[str]:
    for key, value in marks.items():
        yield f", :{key} {edn.written(value)}"


def _optional_edn(op: Op) -> Iterator[str]:
    for key in _OPTIONAL_KEYS:
        if (value := getattr(op, key)) is not None:
            yield f", :{key} {edn.written(value)}"


_OPTIONAL_KEYS: Final = ("node", "error", "data", "offset")


def _json_line(index: int, op: Op, marks: _Marks) -> str:
    entry = {
        "index": index,
        "time": op.time,
        "type": op.type,
        "process": {NEMESIS: "nemesis", NO_PROCESS: None}.get(op.process, op.process),
        # Some tools write keywords into JSON with their colon, so readers remove one colon.
        "f": f":{op.f}" if op.f.startswith(":") else op.f,
        "value": _json_value(op.value),
    }
    for key in _OPTIONAL_KEYS:
        if (value := getattr(op, key)) is not None:
            entry[key] = _json_value(value)
    return json.dumps({**entry, **marks}) + "\n"


def _json_value(value: Any) -> Any:
    return value if _is_json(value) else {EDN_IN_JSON: edn.written(value)}


def _is_json(value: Any) -> bool:
    """Return whether JSON gives back exactly this value.

    Types are compared with ``is``: a Keyword is a str in Python, but JSON would make it a string.
    """
    kind = type(value)
    if kind is list:
        return all(map(_is_json, value))
    if kind is dict:
        plain = all(type(key) is str for key in value) and all(map(_is_json, value.values()))
        return plain and EDN_IN_JSON not in value
    return value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value))


def write_parquet(history: History, out: BinaryIO) -> None:
    """Write one row per op, as checkers see the history, and one row group per chunk.

    The values of a drain are rows of dequeues. The values of a foreign history are written as EDN,
    ``data`` as JSON. The nemesis is process -1.
    """
    with parquet.ParquetWriter(out, _schema(history), compression="zstd") as writer:
        _write_batches(history, writer.write_batch)


def write_csv(history: History, out: BinaryIO) -> None:
    """Write the rows of ``write_parquet`` as CSV with a header line.

    A text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    with csv.CSVWriter(out, _schema(history)) as writer:
        _write_batches(history, lambda batch: writer.write_batch(_without_formulas(batch)))


_FORMULA: Final = r"^([=+\-@\t\r\n])"
_NUMBER: Final = r"^[+-]?[0-9]+(\.[0-9]+)?$"


def _without_formulas(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [
        pc.if_else(
            pc.match_substring_regex(column, _NUMBER),
            column,
            pc.replace_substring_regex(column, _FORMULA, r"'\1"),
        )
        if pa.types.is_string(column.type)
        else column
        for column in batch.columns
    ]
    return pa.record_batch(columns, schema=batch.schema)


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
    schema, first_index = _schema(history), 0
    total = _ops_to_write(history)
    for chunk in history:
        columns = _columns(chunk, history, first_index)
        write(pa.record_batch([columns[name] for name in schema.names], schema=schema))
        first_index += len(chunk.type)
        steps.report(EXPORTING, first_index, total)


def _columns(chunk: Chunk, history: History, first_index: int) -> Mapping[str, pa.Array]:
    if history.labels is None:
        value = pa.array(chunk.value, mask=~chunk.has_value)
    else:
        value = pa.array(
            [edn.written(history.label(code)) for code in chunk.value.tolist()], pa.utf8()
        )
    data = chunk.read("data")
    return {
        "index": pa.array(first_index + np.arange(len(chunk.type))),
        "time": pa.array(chunk.time),
        "type": _named(chunk.type, TYPES),
        "process": pa.array(chunk.process),
        "f": _named(chunk.f, history.names),
        "value": value,
        "node": _named(chunk.node, history.nodes),
        "error": pa.array(chunk.read("error"), pa.utf8()),
        "data": pa.array(
            [None if details is None else json.dumps(_json_value(details)) for details in data],
            pa.utf8(),
        ),
        "offset": pa.array(chunk.offset, mask=chunk.offset < 0),
    }


def _named(codes: Any, names: Any) -> pa.Array:
    """Return the name of each code, null for -1."""
    indices = pa.array(codes, pa.int32(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.utf8())).cast(pa.utf8())


FORMATS: Final[Mapping[str, Callable[[History, BinaryIO], None]]] = {
    "edn": write_edn,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
    "csv": write_csv,
}
"""The writer of each format, by the name that ``jepsenvm export --format`` takes."""
