"""Standard streams that a closed pipe or terminal does not break.

The exit status of a command is its verdict. `jepsenvm check RUN | head -1` must not change it, nor
may a run end because its terminal was closed.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import IO, Any, Final

CLOSED: Final = (errno.EPIPE, errno.EBADF, errno.EIO)
"""The errors of a write whose reader has gone. EIO is that of a terminal that was closed."""


def ignore_closed_streams() -> None:
    """Let writes to standard output and standard error succeed when their readers have gone.

    Other errors, such as those of a full disk, still are errors.
    """
    _open_missing_descriptors()
    sys.stdout = _tolerant(sys.stdout, 1)
    sys.stderr = _tolerant(sys.stderr, 2)


def _open_missing_descriptors() -> None:
    """Open /dev/null for standard streams that were closed when the process began.

    Otherwise the next file that is opened, such as the history, gets the number of such a stream,
    and receives what child processes print.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number, which is this one


def _tolerant(stream: IO[str] | None, descriptor: int) -> io.TextIOWrapper:
    """Return a stream like the given one, on this descriptor."""
    before = stream if isinstance(stream, io.TextIOWrapper) else None
    if before is not None:
        before.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_TolerantFile(descriptor)),
        encoding=before.encoding if before else "utf-8",
        # A character that the terminal cannot show must not end a command.
        errors="backslashreplace",
        line_buffering=before.line_buffering if before else False,
    )


class _TolerantFile(io.RawIOBase):
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: Any, /) -> int:  # a buffer, for which Python 3.11 has no type
        try:
            return os.write(self._descriptor, data)
        except OSError as error:
            if error.errno not in CLOSED:
                raise
            # The descriptor stays open, so that no file gets its number.
            os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), self._descriptor)
            return memoryview(data).nbytes

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor
