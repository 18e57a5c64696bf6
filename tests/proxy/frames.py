"""Frames of AMQP 0-9-1, as far as a proxy must understand them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

METHOD, HEADER, BODY = 1, 2, 3
FRAME_END: Final = 0xCE
PROTOCOL_HEADER_SIZE: Final = 8

PUBLISH: Final = (60, 40)
DELIVER: Final = (60, 60)
GET_OK: Final = (60, 71)
GET_EMPTY: Final = (60, 72)
ACK: Final = (60, 80)
REJECT: Final = (60, 90)
SELECT_OK: Final = (85, 11)
"""``confirm.select-ok``."""


@dataclass(frozen=True)
class Frame:
    """One frame; ``raw`` is all of it."""

    type: int
    channel: int
    raw: bytes

    @property
    def payload(self) -> bytes:
        """The frame without its header and its end."""
        return self.raw[7:-1]

    @property
    def method(self) -> tuple[int, int]:
        """The class and the method of a method frame."""
        first, second = struct.unpack_from(">HH", self.raw, 7)
        return int(first), int(second)


def split(buffer: bytearray) -> Iterator[Frame]:
    """Take the complete frames from the beginning of a buffer."""
    start = 0
    view = bytes(buffer)
    while len(view) >= start + 8:
        type_, channel, size = struct.unpack_from(">BHL", view, start)
        end = start + 7 + size + 1
        if len(view) < end:
            break
        if view[end - 1] != FRAME_END:
            raise ValueError("not a frame of AMQP 0-9-1")
        yield Frame(type_, channel, view[start:end])
        start = end
    del buffer[:start]


def frame(type_: int, channel: int, payload: bytes) -> Frame:
    """Return a frame with this payload."""
    raw = struct.pack(">BHL", type_, channel, len(payload)) + payload + bytes([FRAME_END])
    return Frame(type_, channel, raw)


def with_body(message: Sequence[Frame], body: bytes) -> list[Frame]:
    """Return a message with another body, which fits into one frame."""
    method, header, *_ = message
    properties = header.payload[:4] + struct.pack(">Q", len(body)) + header.payload[12:]
    parts = [frame(BODY, method.channel, body)] if body else []
    return [method, frame(HEADER, header.channel, properties), *parts]


def ack(channel: int, tag: int, *, multiple: bool = False) -> Frame:
    """Return a ``basic.ack``."""
    return frame(METHOD, channel, struct.pack(">HHQB", *ACK, tag, multiple))


def get_empty(channel: int) -> Frame:
    """Return a ``basic.get-empty``."""
    return frame(METHOD, channel, struct.pack(">HHB", *GET_EMPTY, 0))


def acked(method: Frame) -> tuple[int, bool]:
    """Return the delivery tag of a ``basic.ack``, and whether it is multiple."""
    tag, multiple = struct.unpack_from(">QB", method.payload, 4)
    return int(tag), bool(multiple)


def delivery_tag(method: Frame) -> int:
    """Return the delivery tag of a ``basic.deliver`` or a ``basic.get-ok``."""
    position = 4
    if method.method == DELIVER:
        position += 1 + method.payload[4]  # the consumer tag is a short string
    return int(struct.unpack_from(">Q", method.payload, position)[0])
