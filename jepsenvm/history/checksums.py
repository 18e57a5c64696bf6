"""Checksums inside a journal, so that a damaged file is noticed before anything else reads it.

A journal is an Arrow IPC stream: messages, each of a length, metadata and a body. Arrow ignores
what follows the metadata within its length, so each message of a journal has 16 more bytes there:
a mark, the size of the body, and a CRC-32. The CRC covers the message and the CRC of the message
before it, so that a message that is changed, left out, repeated or moved breaks the chain.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

END_MARK: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""The last bytes of a closed Arrow IPC stream."""

_CONTINUATION: Final = 0xFFFFFFFF
_PREFIX: Final = struct.Struct("<Ii")
"""What each message begins with: the continuation mark and the size of the metadata."""

_MARK: Final = b"crc1"
_CRC: Final = struct.Struct("<I")
_TRAILER: Final = struct.Struct("<4sQI")
"""What the metadata of each message ends with: the mark, the size of the body, and the CRC."""


@dataclass(frozen=True)
class Extent:
    """The part of a file that can be read."""

    end: int
    """The bytes before this position are whole messages."""
    complete: bool = False
    """Whether the end mark follows, and nothing after it."""
    damage: str | None = None
    """What is wrong at ``end``; None if the file is complete or is only cut short there."""


def with_checksum(metadata: bytes, body: bytes, previous: int) -> tuple[bytes, int]:
    """Return a message with its checksum, and that checksum.

    ``metadata`` is padded as Arrow pads it. ``previous`` is the checksum of the message before
    this one, 0 for the first message.
    """
    size = len(metadata) + _TRAILER.size
    head = _PREFIX.pack(_CONTINUATION, size) + metadata + _MARK + struct.pack("<Q", len(body))
    checksum = zlib.crc32(body, zlib.crc32(head, previous))
    return head + _CRC.pack(checksum) + body, checksum


VERSION: Final = b"history 2"
"""What the schema of a journal with checksums says; older journals have none."""

COMPACT: Final = b"history 3"
"""What the schema of a compact file says; see ``compact``."""


def has_checksums(file: memoryview) -> bool:
    """Return whether a file is a journal with checksums, even if its beginning is damaged."""
    size = _metadata_size(file, 0)
    if size is not None and file[_PREFIX.size + size - _TRAILER.size :][:4].tobytes() == _MARK:
        return True
    beginning = file[:MOST_SCHEMA].tobytes()
    return VERSION in beginning or COMPACT in beginning


MOST_SCHEMA: Final = 1 << 16
"""The schema of a journal, with the plan, ends before this position."""


def begins_like_arrow(file: memoryview) -> bool:
    """Return whether a file begins with a message of an Arrow IPC stream."""
    return _metadata_size(file, 0) is not None


def verify(file: memoryview) -> Extent:
    """Return how much of a file with checksums is undamaged."""
    position = checksum = 0
    while True:
        if bytes(file[position : position + len(END_MARK)]) == END_MARK:
            return _ended(file, position)
        try:
            position, checksum = _next_message(file, position, checksum)
        except EOFError:
            return Extent(position)
        except ValueError as problem:
            return _damaged(position, str(problem))


def _next_message(file: memoryview, position: int, previous: int) -> tuple[int, int]:
    """Return where the message at a position ends, and its checksum.

    Raises EOFError if the file ends within the message, and ValueError if the message is damaged.
    """
    prefix = file[position : position + _PREFIX.size]
    if len(prefix) < _PREFIX.size:
        raise EOFError
    continuation, size = _PREFIX.unpack(prefix)
    if continuation != _CONTINUATION or size < _TRAILER.size:
        raise ValueError("no message begins")
    body = position + _PREFIX.size + size
    if body > len(file):
        raise EOFError
    mark, body_size, checksum = _TRAILER.unpack(file[body - _TRAILER.size : body])
    if mark != _MARK:
        raise ValueError("the message has no checksum")
    if body + body_size > len(file):
        raise EOFError
    head = file[position : body - _CRC.size]
    if zlib.crc32(file[body : body + body_size], zlib.crc32(head, previous)) != checksum:
        raise ValueError("the checksum does not match")
    return body + body_size, checksum


def _ended(file: memoryview, position: int) -> Extent:
    if position + len(END_MARK) < len(file):
        return _damaged(position, "more bytes follow the end of the history")
    return Extent(position, complete=True)


def _damaged(position: int, problem: str) -> Extent:
    return Extent(position, damage=f"at byte {position:,} {problem}")


def _metadata_size(file: memoryview, position: int) -> int | None:
    """Return the size of the metadata of the message at a position; None if there is none."""
    prefix = file[position : position + _PREFIX.size]
    if len(prefix) < _PREFIX.size:
        return None
    continuation, size = _PREFIX.unpack(prefix)
    whole = continuation == _CONTINUATION and _TRAILER.size <= size <= len(file) - _PREFIX.size
    return size if whole else None
