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
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
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

_ROW: Final = struct.Struct("<qbqiqqi??")
"""The numbers of an op while it waits for a flush. To pack them checks them, and costs less than to
keep them as objects and to convert these."""

_COLUMNS: Final = np.dtype(
    [
        ("time", "<i8"),
        ("type", "<i1"),
        ("process", "<i8"),
        ("f", "<i4"),
        ("value", "<i8"),
        ("offset", "<i8"),
        ("node", "<i4"),
        ("has_value", "?"),
        ("has_offset", "?"),
    ]
)
"""What ``_ROW`` packs. Where there is no value or no offset, the number is 0."""

_LEAST: Final = -(2**63)
_GREATEST: Final = 2**63 - 1
"""The range of the integers of a journal."""


class _Names(dict[str | None, int]):
    """The codes of the names in a column, by name; -1 for no name.

    Names are only ever added, so a code means the same name in all batches.
    """

    def __init__(self) -> None:
        super().__init__({None: -1})
        self._array = pa.array([], pa.utf8())
        """The names by their codes, as far as they were learned."""

    def __missing__(self, name: str) -> int:
        """Give a new name its code."""
        code = self[name] = len(self) - 1
        return code

    def learn(self) -> bool:
        """Make the names of a column known to Arrow; return whether some are new."""
        known = len(self._array)
        if known == len(self) - 1:
            return False
        self._array = pa.array(list(self)[1:], pa.utf8())
        return True

    def column(self, codes: npt.NDArray[np.int32]) -> pa.DictionaryArray:
        """Return a column of names."""
        known = _numbers(np.maximum(codes, 0), codes >= 0)
        return pa.DictionaryArray.from_arrays(known, self._array)


def _numbers(column: npt.NDArray[Any], present: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Return a column of numbers, null where ``present`` is false."""
    return pa.array(np.ascontiguousarray(column), mask=None if present is None else ~present)


def _text_columns(
    rows: int, texts: Sequence[tuple[int, str | None, str | None]]
) -> tuple[pa.Array, pa.Array]:
    """Return the errors and the data of some rows."""
    errors: list[str | None] = [None] * rows
    data: list[str | None] = [None] * rows
    for position, error, encoded_data in texts:
        row = position // _ROW.size
        errors[row], data[row] = error, encoded_data
    return pa.array(errors, pa.utf8()), pa.array(data, pa.utf8())


def _not_an_integer(*numbers: int | None) -> ValueError:
    """Return which of some numbers cannot be recorded."""
    wrong = [
        number
        for number in numbers
        if number is not None and not (isinstance(number, int) and _LEAST <= number <= _GREATEST)
    ]
    return ValueError(f"{shorten(wrong[0])} is not an integer of 64 bits")


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
        self._rows = bytearray()
        self._texts: list[tuple[int, str | None, str | None]] = []
        """The error and the data of ops that have one, and where the op is in ``_rows``."""
        self._f, self._node = _Names(), _Names()
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
            with self._lock:
                if error is not None or encoded_data is not None:
                    self._texts.append((len(self._rows), error, encoded_data))
                # The time is read under the lock, so that rows are in the order of their times.
                self._rows += _ROW.pack(
                    self._clock(),
                    _CODES[type],
                    process,
                    self._f[f],
                    0 if value is None else value,
                    0 if offset is None else offset,
                    self._node[node],
                    value is not None,
                    offset is not None,
                )
        except struct.error:
            raise self._failed(_not_an_integer(process, value, offset)) from None
        except Exception as problem:
            raise self._failed(problem) from problem

    def now(self) -> int:
        """Return the time that an op would get now, in nanoseconds since the run began."""
        return self._clock()

    def flush(self) -> None:
        """Write all appended ops to the file.

        Raises RunError if they cannot be written, and if anything could not be recorded before.
        """
        with self._lock, self._final_errors():
            if not self._rows:
                return
            rows, self._rows = np.frombuffer(self._rows, _COLUMNS), bytearray()
            texts, self._texts = self._texts, []
            new_names = self._f.learn() | self._node.learn()
            batch = pa.record_batch(
                [
                    _numbers(rows["time"]),
                    _numbers(rows["type"]),
                    _numbers(rows["process"]),
                    self._f.column(rows["f"]),
                    _numbers(rows["value"], rows["has_value"]),
                    _numbers(rows["offset"], rows["has_offset"]),
                    self._node.column(rows["node"]),
                    *_text_columns(len(rows), texts),
                ],
                names=SCHEMA.names,
            )
            self._stream.write_batch(batch, new_names=new_names)
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
