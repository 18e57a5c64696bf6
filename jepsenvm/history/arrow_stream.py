"""Writes an Arrow IPC stream whose messages have checksums; see ``checksums``."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from jepsenvm.history.checksums import END_MARK, with_checksum


class RawFile(Protocol):
    """What a stream needs of a file; as with ``io.FileIO``, ``write`` may write fewer bytes."""

    def write(self, data: memoryview, /) -> int | None:
        """Write some of the bytes; return how many."""

    def truncate(self, size: int, /) -> int:
        """Cut the file to a size."""

    def fileno(self) -> int:
        """Return the file descriptor."""

    def close(self) -> None:
        """Close the file."""


def create_file(path: Path) -> RawFile:
    """Create a file for a stream; raise OSError if it exists or cannot be created."""
    # Unbuffered, so that a batch is with the kernel as soon as it is written: a buffer of this
    # process would be lost with the process.
    return path.open("xb", buffering=0)


class ArrowStream:
    """Writes record batches to a file. Its methods raise OSError if the file refuses them."""

    def __init__(self, file: RawFile, schema: pa.Schema) -> None:
        """Write the schema. The caller closes the file."""
        self._file = file
        self._size = self._checksum = 0
        # pyarrow writes into memory; the messages get their checksums on the way to the file.
        self._written = io.BytesIO()
        self._writer = pa.ipc.new_stream(self._written, schema)
        self._write_messages(schema.serialize())

    def write_batch(self, batch: pa.RecordBatch, *, new_names: bool = True) -> None:
        """Write a batch, and its names unless none of them is new."""
        if not new_names:
            self._write_messages(batch.serialize())
            return
        self._writer.write_batch(batch)
        messages = self._written.getvalue()
        self._written.seek(0)
        self._written.truncate()
        self._write_messages(messages)

    def end(self) -> None:
        """Sync the file and write the end mark. Only a stream with an end mark is complete."""
        # The end mark is written last, so that no power failure leaves it without the batches
        # before it.
        os.fsync(self._file.fileno())
        size = self._size
        try:
            self._write(END_MARK)
            os.fsync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(size)
            raise

    def _write_messages(self, messages: bytes | pa.Buffer) -> None:
        """Write messages of Arrow with their checksums; the schema is written once."""
        with_checksums = []
        for message in pa.ipc.MessageReader.open_stream(messages):
            if message.type == "schema" and self._size:
                continue
            body = b"" if message.body is None else message.body.to_pybytes()
            written, self._checksum = with_checksum(
                message.metadata.to_pybytes(), body, self._checksum
            )
            with_checksums.append(written)
        self._write(b"".join(with_checksums))

    def _write(self, data: bytes) -> None:
        """Write all of the bytes. One call of the system may write only some of them."""
        rest = memoryview(data)
        while rest:
            written = self._file.write(rest)
            if not written:
                raise OSError("nothing was written")
            self._size += written
            rest = rest[written:]
