"""The journal: appends ops to a file as they happen, and survives a SIGKILL of the controller.

The file is an Arrow IPC stream of small record batches. Of the formats that were measured (JSON
lines, msgpack, SQLite, Parquet; see docs/decisions.md) it is the fastest to append and to read. A
stream without its end mark was cut short. Each message has a checksum; see ``checksums``. When the
run has ended, its files are rewritten in less space; see ``compaction``.

A failure to record is final. What could not be written is missing from the history, so a journal
that failed once raises that error at every later use and is never closed as complete.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from jepsenvm.errors import RunError, shorten
from jepsenvm.history.arrow_stream import ArrowStream, RawFile, create_file
from jepsenvm.history.checksums import VERSION
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
    metadata={"jepsenvm": VERSION.decode(), "type": json.dumps(TYPES)},
)
"""The columns of a journal, one row for each op. ``type`` is an index into TYPES, ``data`` JSON.

The metadata ``jepsenvm`` is the version of the format. Version 1 had no checksums.
"""

_CODES: Final = {name: code for code, name in enumerate(TYPES)}


_LEAST: Final = -(2**63)
_GREATEST: Final = 2**63 - 1
"""The range of the integers of a journal."""


class Journal:
    """Appends ops to a file and flushes them in batches. Any thread may append.

    Flushed ops survive the death of this process. Ops of a closed journal also survive a power
    failure of this machine. After any failure to record, every method but ``now`` raises it.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], int],
        *,
        about: Mapping[str, str] | None = None,
        observe: Callable[[pa.RecordBatch], None] | None = None,
        create: Callable[[Path], RawFile] = create_file,
    ) -> None:
        """Create the file ``path``; raise RunError if it exists or cannot be created.

        ``clock``  returns the time of an op: nanoseconds since the run began.
        ``about``  what the history is about, such as its ``plan`` as YAML. It stays in the file.
        ``observe``  is called with each batch that was written. It must be quick and never fail.
        """
        self._path = path
        self._clock = clock
        self._observe = observe
        # Reentrant, because a failure may be noticed while the lock is held.
        self._lock = threading.RLock()
        self._failure: RunError | None = None
        self._rows: list[tuple[Any, ...]] = []
        self._names: dict[str, dict[str, int]] = {"f": {}, "node": {}}
        schema = SCHEMA.with_metadata({**(SCHEMA.metadata or {}), **(about or {})})
        with self._final_errors():
            self._file = create(path)
            self._stream = ArrowStream(self._file, schema)

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
        # Without ``_final_errors``: a context costs more than everything else here.
        if self._failure is not None:
            raise self._failure
        try:
            encoded_data = None if data is None else json.dumps(data)
            for number in (process, value, offset):
                if number is not None and not (
                    isinstance(number, int) and _LEAST <= number <= _GREATEST
                ):
                    raise ValueError(  # noqa: TRY301 - a function call for each op would be slow
                        f"{shorten(number)} is not an integer of 64 bits"
                    )
            row = (_CODES[type], process, f, value, offset, node, error, encoded_data)
        except Exception as problem:
            raise self._failed(problem) from problem
        with self._lock:
            # The time is read under the lock, so that rows are in the order of their times.
            self._rows.append((self._clock(), *row))

    def now(self) -> int:
        """Return the time that an op would get now, in nanoseconds since the run began."""
        return self._clock()

    def flush(self) -> None:
        """Write all appended ops to the file.

        Raises RunError if they cannot be written, and if anything could not be recorded before.
        """
        with self._lock, self._final_errors():
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
            batch = pa.record_batch(columns, names=SCHEMA.names)
            self._stream.write_batch(batch)
            if self._observe is not None:
                self._observe(batch)

    def close(self) -> None:
        """Flush, sync, and write the end mark. Only a closed history is complete.

        Raises RunError as ``flush`` does; the history then has no end mark.
        """
        try:
            with self._lock:
                self.flush()
                with self._final_errors():
                    self._stream.end()
                    self._failure = RunError(f"the history {self._path} is closed")
        finally:
            with contextlib.suppress(OSError):
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
    def _final_errors(self) -> Iterator[None]:
        """Raise the failure of this journal, if any; make any error in the context its failure."""
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except Exception as problem:
            raise self._failed(problem) from problem

    def _failed(self, problem: Exception) -> RunError:
        """Return the failure of this journal, which is the first problem that it had."""
        with self._lock:
            if self._failure is None:
                self._failure = self._failure_of(problem)
            return self._failure

    def _failure_of(self, problem: Exception) -> RunError:
        if isinstance(problem, OSError):
            return RunError(
                f"cannot write the history {self._path}: {problem.strerror or problem}",
                remedy="free some disk space and run again",
            )
        return RunError(
            f"cannot write the history {self._path}: {type(problem).__name__}: "
            f"{shorten(problem, 200)}",
            remedy="report it",
        )
