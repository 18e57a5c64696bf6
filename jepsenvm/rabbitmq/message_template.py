"""Marshals messages that differ in their body and their message id only.

pika encodes the method, the properties and the body of each message anew, which is more than half
of what a publisher costs. Here pika encodes what all messages of a route have in common, once.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

import pika
from pika import frame, spec

PERSISTENT: Final = 2

_FRAME: Final = struct.Struct(">BHI")
"""What each frame begins with: its type, its channel and the size of its payload."""
_CONTENT: Final = struct.Struct(">HxxQ")
"""What a header begins with: its class and the size of the body."""
_END: Final = bytes([spec.FRAME_END])
_LENGTH_OF_ID: Final = 1
"""Bytes of the length before a message id, which is the last property of a message."""


def properties(message_id: str, headers: Mapping[str, str] | None) -> pika.BasicProperties:
    """Return the properties of a persistent message."""
    return pika.BasicProperties(
        delivery_mode=PERSISTENT,
        message_id=message_id,
        headers=None if headers is None else dict(headers),
    )


class MessageTemplate:
    """The messages of one route on one channel, persistent and mandatory."""

    def __init__(
        self, channel: int, exchange: str, routing_key: str, headers: Mapping[str, str] | None
    ) -> None:
        publish = spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True)
        self._channel = channel
        self._method: bytes = frame.Method(channel, publish).marshal()
        encoded = b"".join(properties("", headers).encode())
        self._properties = encoded[:-_LENGTH_OF_ID]

    def marshal(self, message_id: str, body: bytes) -> bytes:
        """Return the frames of a message, whose body fits into one frame and is not empty.

        ``message_id`` has at most 255 bytes, as a short string of AMQP.
        """
        identity = message_id.encode()
        size = len(self._properties) + _LENGTH_OF_ID + len(identity)
        return b"".join(
            (
                self._method,
                _FRAME.pack(spec.FRAME_HEADER, self._channel, _CONTENT.size + size),
                _CONTENT.pack(spec.BasicProperties.INDEX, len(body)),
                self._properties,
                bytes((len(identity),)),
                identity,
                _END,
                _FRAME.pack(spec.FRAME_BODY, self._channel, len(body)),
                body,
                _END,
            )
        )
