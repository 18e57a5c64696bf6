"""A connection of pika that joins what it sends in one iteration of the event loop.

pika writes each frame by itself, and each write becomes a system call. A message has three frames
or more, and a publisher with a window publishes many messages in one iteration. Joined, they need
one call. The bytes and their order stay the same.

``_adapter_emit_data`` is the method with which pika's connections give bytes to the network, and
which each of pika's adapters overrides. If a release of pika lacks it, the import fails. If pika no
longer calls it, ``require_in_use`` fails. So does it if pika does not say how much of a body fits
into a frame; see ``message_template``.
"""

from __future__ import annotations

from typing import Final

import pika
from pika.adapters.asyncio_connection import AsyncioConnection

from jepsenvm.errors import RunError

MOST_BYTES: Final = 256 * 1024
"""Bytes that are joined at most. pika copies the rest of a write that the network takes only in
part, so a write must not be much larger than that."""

OVERRIDDEN: Final = ("_adapter_emit_data", "_init_connection_state")
"""The methods of pika that this file overrides."""

REMEDY: Final = "install the release of pika in requirements.lock"


def _require_overridden() -> None:
    missing = [name for name in OVERRIDDEN if not callable(getattr(AsyncioConnection, name, None))]
    if missing:
        raise RunError(
            f"pika {pika.__version__} has no AsyncioConnection.{missing[0]}", remedy=REMEDY
        )


_require_overridden()


class JoiningConnection(AsyncioConnection):  # type: ignore[misc]  # pika publishes no types
    """A connection that writes once in each iteration of the event loop."""

    _used = False
    """Whether pika has ever sent something through this class."""

    def require_in_use(self) -> None:
        """Raise RunError if pika sends past this class. Call it on an open connection."""
        if not self._used:
            raise RunError(
                f"pika {pika.__version__} does not send through _adapter_emit_data", remedy=REMEDY
            )
        if not isinstance(getattr(self, "_body_max_length", None), int):
            raise RunError(
                f"pika {pika.__version__} does not say how large a frame may be", remedy=REMEDY
            )

    @property
    def most_in_frame(self) -> int:
        """The largest body in bytes that fits into one frame of this open connection."""
        return int(self._body_max_length)

    def send_frames(self, frames: bytes) -> None:
        """Send frames that were marshalled, on an open connection."""
        self.bytes_sent += len(frames)
        self._adapter_emit_data(frames)

    def _init_connection_state(self) -> None:
        """Forget what was not written. pika calls this at first, and when a connection is lost."""
        super()._init_connection_state()
        self._parts: list[bytes] = []
        self._size = 0

    def _adapter_emit_data(self, data: bytes) -> None:
        """Take bytes, and write them in the next iteration of the event loop at the latest."""
        self._used = True
        if self._size + len(data) > MOST_BYTES:
            self._write()
        if not self._parts:
            self.ioloop.call_soon(self._write)
        self._parts.append(data)
        self._size += len(data)

    def _write(self) -> None:
        """Give what was taken to pika's transport as one write."""
        if not self._parts:
            return
        joined = b"".join(self._parts)
        self._parts, self._size = [], 0
        super()._adapter_emit_data(joined)
