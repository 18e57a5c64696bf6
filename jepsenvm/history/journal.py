"""The journal: appends ops to a file as they happen, and survives a SIGKILL of the controller.

The file is an Arrow IPC stream of small record batches. Of the formats that were measured (JSON
lines, msgpack, SQLite, Parquet; see docs/decisions.md) it is the fastest to append and to read. A
stream without its end mark was cut short.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator
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
"""The columns of a journal, one row for each op. ``type`` is an index into TYPES, ``data`` JSON."""

_CODES: Final = {name: code for code, name in enumerate(TYPES)}


class Journal:
    """Appends ops to a file and flushes them in batches. Any thread may append.

    Flushed ops survive the death of this process. Ops of a closed journal also survive a power
    failure of this machine.
    """

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        """Create the file ``path``; raise RunError if it exists or cannot be created.

        ``clock`` returns the time of an op: nanoseconds since the run began.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: list[tuple[Any, ...]] = []
        self._names: dict[str, dict[str, int]] = {"f": {}, "node": {}}
        try:
            # Unbuffered, so that a batch is with the kernel as soon as it is written: a buffer of
            # this process would be lost with the process.
            self._file = path.open("xb", buffering=0)
            self._writer = pa.ipc.new_stream(self._file, SCHEMA)
        except OSError as problem:
            raise RunError(f"cannot write the history {path}: {problem.strerror}") from problem
        self._path = path

    def append(  # noqa: PLR0913 - one argument for each column of the history
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
        """Record an op now. ``data`` must be something that JSON can represent."""
        encoded_data = None if data is None else json.dumps(data)
        row = (_CODES[type], process, f, value, offset, node, error, encoded_data)
        with self._lock:
            # The time is read under the lock, so that rows are in the order of their times.
            self._rows.append((self._clock(), *row))

    def now(self) -> int:
        """Return the time that an op would get now, in nanoseconds since the run began."""
        return self._clock()

    def flush(self) -> None:
        """Write all appended ops to the file; raise RunError if the disk refuses them."""
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
            with self._disk_errors():
                self._writer.write_batch(pa.record_batch(columns, schema=SCHEMA))

    def close(self) -> None:
        """Flush, write the end mark and sync. Only a closed history is complete."""
        self.flush()
        with self._disk_errors():
            self._writer.close()
            os.fsync(self._file.fileno())
        self._file.close()

    def _encoded(self, column: str, names: tuple[str | None, ...]) -> pa.DictionaryArray:
        codes_by_name = self._names[column]
        codes = [
            None if name is None else codes_by_name.setdefault(name, len(codes_by_name))
            for name in names
        ]
        # Names are only ever added, so a code means the same name in all batches.
        return pa.DictionaryArray.from_arrays(
            pa.array(codes, pa.int32()), pa.array(list(codes_by_name), pa.utf8())
        )

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Turn an OSError into the RunError that a user reads."""
        try:
            yield
        except OSError as problem:
            raise RunError(
                f"cannot write the history {self._path}: {problem}",
                remedy="free some disk space and run again",
            ) from problem
