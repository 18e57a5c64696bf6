"""A run as a zip archive, which is made while it is sent."""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections.abc import Iterator
from typing import Final

from jepsenvm.experiment.judge import JEPSEN_HISTORY
from jepsenvm.experiment.resumption import FILE as RESUME
from jepsenvm.experiment.store import ENVIRONMENT, LOG, PLAN, REPORT, RESULTS
from jepsenvm.history.segments import SIZES
from jepsenvm.nemesis.manual import SPOOL
from jepsenvm.serve.place import Place
from jepsenvm.serve.plain_files import chunks, open_plain, size_of

FILES: Final = (
    PLAN,
    RESULTS,
    REPORT,
    ENVIRONMENT,
    RESUME,
    LOG,
    SPOOL,
    SIZES,
    JEPSEN_HISTORY,
)
"""The files of an archive beside the segments of the history. jepsenvm writes no secrets to them.

What was fetched from the nodes (``nodes``, ``broker-state``) is left out: a broker may log what it
is sent.
"""

_SEGMENT: Final = re.compile(r"history(-load)?(-[0-9]{1,9})?\.arrow")


def names_in_zip(place: Place) -> list[str]:
    """Return the names of the files of a run that an archive has."""
    found = {file.name for file in place.folder.iterdir() if _SEGMENT.fullmatch(file.name)}
    return [*(name for name in FILES if (place.folder / name).is_file()), *sorted(found)]


def run_zip(place: Place) -> Iterator[bytes]:
    """Yield the archive of a run piece by piece.

    Files that grow meanwhile are cut where they ended when their turn came, as after a crash.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in names_in_zip(place):
            file = open_plain(place.folder / name)
            if file is None:
                continue
            with file:
                entry = zipfile.ZipInfo(f"{place.name}-{place.time}/{name}", time.gmtime()[:6])
                entry.compress_type = zipfile.ZIP_DEFLATED
                # Nobody knows before whether the file needs the fields of 64 bits.
                with archive.open(entry, "w", force_zip64=True) as packed:
                    for chunk in chunks(file, size_of(file)):
                        packed.write(chunk)
                        yield from sink.taken()
        yield from sink.taken()
    yield from sink.taken()


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken. It cannot seek, so zipfile writes in one pass."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        before = len(self._written)
        self._written += data  # type: ignore[arg-type]  # zipfile writes bytes
        return len(self._written) - before

    def taken(self) -> Iterator[bytes]:
        """Yield what was written since the last call, if anything."""
        if self._written:
            taken, self._written = bytes(self._written), bytearray()
            yield taken
