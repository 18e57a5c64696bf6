"""The journal: ops appended as they happen, safe from a SIGKILL of the controller.

Measured against JSON lines, msgpack, SQLite and Parquet (docs/decisions.md), an Arrow IPC stream of small record
batches is appended fastest and read back fastest. A stream without its end mark is one that was cut short.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from jepsenvm.errors import RunError
from jepsenvm.history.op import TYPES, Type

_NAMES = pa.dictionary(pa.int32(), pa.utf8())
SCHEMA: Final = pa.schema(
    [
        ("time", pa.int64()),
        ("type", pa.int8()),
        ("process", pa.int64()),
        ("f", _NAMES),
        ("value", pa.int64()),
        ("offset", pa.int64()),
        ("node", _NAMES),
        ("error", pa.utf8()),
        ("data", pa.utf8()),
    ],
    metadata={"jepsenvm": "history 1", "type": json.dumps(TYPES)},
)
"""One row an op; ``type`` counts through TYPES, ``data`` is JSON."""

_CODES: Final = {name: code for code, name in enumerate(TYPES)}


class Journal:
    """Appends ops to a file and flushes them in batches; any thread may append.

    What was flushed survives the end of this process at any moment; what was synced survives this machine's too.
    """

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        """``clock`` gives the time of an op: nanoseconds since the run began."""
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: list[tuple[Any, ...]] = []
        self._names: dict[str, dict[str, int]] = {"f": {}, "node": {}}
        try:
            # Unbuffered: what the writer has written must be the kernel's, not this process'.
            self._file = path.open("xb", buffering=0)
            self._writer = pa.ipc.new_stream(self._file, SCHEMA)
        except OSError as problem:
            raise RunError(f"cannot write the history {path}: {problem.strerror}") from problem
        self._path = path

    def append(  # noqa: PLR0913 - one for each column of the history
        self,
        type: Type,
        f: str,
        value: int | None = None,
        *,
        process: int,
        node: str | None = None,
        error: str | None = None,
        data: Any = None,
        offset: int | None = None,
    ) -> None:
        """Record an op at this moment."""
        row = (
            _CODES[type],
            process,
            f,
            value,
            offset,
            node,
            error,
            None if data is None else json.dumps(data),
        )
        with self._lock:
            self._rows.append((self._clock(), *row))

    def now(self) -> int:
        """Return the time that an op would get now, in nanoseconds since the run began."""
        return self._clock()

    def flush(self) -> None:
        """Hand everything appended so far to the kernel; raise RunError when the disk does not take it."""
        with self._lock:
            rows, self._rows = self._rows, []
            if not rows:
                return
            time, type_, process, f, value, offset, node, error, data = zip(*rows, strict=True)
            columns = [
                pa.array(time, pa.int64()),
                pa.array(type_, pa.int8()),
                pa.array(process, pa.int64()),
                self._encoded("f", f),
                pa.array(value, pa.int64()),
                pa.array(offset, pa.int64()),
                self._encoded("node", node),
                pa.array(error, pa.utf8()),
                pa.array(data, pa.utf8()),
            ]
            self._guarded(lambda: self._writer.write_batch(pa.record_batch(columns, schema=SCHEMA)))

    def close(self) -> None:
        """Flush, write the end mark and sync: only a closed history is a whole one."""
        self.flush()
        self._guarded(self._writer.close)
        self._guarded(lambda: os.fsync(self._file.fileno()))
        self._file.close()

    def _encoded(self, column: str, names: tuple[str | None, ...]) -> pa.DictionaryArray:
        known = self._names[column]
        codes = [None if name is None else known.setdefault(name, len(known)) for name in names]
        return pa.DictionaryArray.from_arrays(
            pa.array(codes, pa.int32()), pa.array(list(known), pa.utf8())
        )

    def _guarded(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as problem:
            raise RunError(
                f"cannot write the history {self._path}: {problem}",
                remedy="free some disk space and run again",
            ) from problem
