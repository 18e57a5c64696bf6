"""The bodies of messages: a bare integer, or a header and filler in which every change is found.

With the plan key ``message-size``, a body is its header and then its filler::

    000003 0000000000000017 000004096 5f2d8a01 ....
    |      |                |         |        filler: binary, from the seed and the value
    |      |                |         CRC-32 of everything else
    |      |                size of the body in bytes
    |      value (the sequence number), which is unique in a run
    number of the publisher

The seed, the sizes of the plan, the publisher and the value decide the whole body. So a body that
came back is compared, byte by byte, with the body that the publisher and the value in its header
give. The checksum covers these two as well.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from binascii import crc32
from hashlib import blake2b
from random import Random
from typing import Any, Final

import numpy as np

from jepsenvm.plan.message_sizes import LEAST_BYTES, size_bounds
from jepsenvm.plan.plan import Plan

UNREADABLE: Final = -1
"""The value of a body that is no integer. No publisher sends it: unexpected."""
FIRST_CORRUPTED: Final = -2
"""Bodies with a checksum that came back changed have this value or a lower one.

Equal bodies have equal values. No publisher sends a negative value.
"""
EXCERPT_BYTES: Final = 200
"""Bytes of a wrong body that the history keeps."""

PERIOD: Final = 65_521
"""Bytes after which filler repeats: a prime, so that a block in the place of another one shows."""

_FIELDS: Final = b"%06d %016d %09d"
_NAMED: Final = re.compile(rb"([0-9]{6}) ([0-9]{16}) ")
"""The publisher and the value at the beginning of a body."""
_GREATEST: Final = 2**63 - 1
"""The greatest integer of a history."""


class Bodies(ABC):
    """Writes the bodies of a run, and reads them back."""

    @abstractmethod
    def of(self, value: int) -> bytes:
        """Return the body of the message with this value."""

    @abstractmethod
    def value_in(self, body: bytes) -> int:
        """Return the value in a body that came back; a negative one if no message has this body."""

    @abstractmethod
    def problem_of(self, body: bytes) -> dict[str, Any]:
        """Return what a history records about a body with a negative value."""


class BareIntegers(Bodies):
    """Bodies that are the value in decimal digits. Not every change of a body is found."""

    def of(self, value: int) -> bytes:
        """Return the digits of a value."""
        return b"%d" % value

    def value_in(self, body: bytes) -> int:
        """Return the integer in a body; UNREADABLE if there is none as a publisher writes it."""
        try:
            value = int(body)
        except ValueError:
            return UNREADABLE
        # Python also reads spaces, underscores, a sign and leading zeros.
        return value if self.of(value) == body and abs(value) <= _GREATEST else UNREADABLE

    def problem_of(self, body: bytes) -> dict[str, Any]:
        """Return the beginning of a body that is no integer."""
        return {"body": _excerpt(body)} if self.value_in(body) == UNREADABLE else {}


class CheckedBodies(Bodies):
    """Bodies with a header, a checksum and filler: any change of a body is found."""

    def __init__(self, seed: int, sizes: tuple[int, int], publishers: int) -> None:
        """Prepare the filler.

        ``sizes`` are the least and the greatest size in bytes. ``publishers`` is the number of
        publishers, which take turns in sending values.
        """
        self._least, self._most = sizes
        self._publishers = publishers
        self._key = seed.to_bytes(8, "big")
        pattern = Random(f"{seed} bodies").randbytes(PERIOD)
        self._pattern = pattern * (2 + (self._most - LEAST_BYTES) // PERIOD)

    def of(self, value: int) -> bytes:
        """Return the body of the message with this value."""
        return self._body(value % self._publishers, value)

    def _body(self, publisher: int, value: int) -> bytes:
        size = self.size_of(value)
        begin = value % PERIOD
        filler = self._pattern[begin : begin + size - LEAST_BYTES]
        fields = _FIELDS % (publisher, value, size)
        return b"%b %08x %b" % (fields, crc32(filler, crc32(fields)), filler)

    def size_of(self, value: int) -> int:
        """Return the size of the message with this value, drawn from the seed."""
        if self._least == self._most:
            return self._least
        digest = blake2b(value.to_bytes(8, "big"), digest_size=8, key=self._key).digest()
        return self._least + int.from_bytes(digest, "big") % (self._most - self._least + 1)

    def value_in(self, body: bytes) -> int:
        """Return the value of an unchanged body, otherwise FIRST_CORRUPTED or a lower number."""
        named = _named(body)
        if named is not None and body == self._body(*named):
            return named[1]
        digest = blake2b(body, digest_size=7).digest()
        return FIRST_CORRUPTED - int.from_bytes(digest, "big")

    def problem_of(self, body: bytes) -> dict[str, Any]:
        """Return that the body is corrupted, and where it differs from the body of its value."""
        return {"corrupted": True, "problem": self._difference(body), "body": _excerpt(body)}

    def _difference(self, body: bytes) -> str:
        named = _named(body)
        if named is None:
            return f"{len(body)} bytes without a readable header"
        sent, value = self._body(*named), named[1]
        place = _first_difference(body, sent)
        if place is None:
            return f"value {value}: {len(body)} bytes instead of {len(sent)}"
        return f"value {value}: byte {place} of {len(body)} differs"


def bodies_of(plan: Plan, nodes: int) -> Bodies:
    """Return the bodies of a run with its publishers on this number of nodes."""
    if plan.message_size is None:
        return BareIntegers()
    publishers = max(1, nodes * plan.publishers)
    return CheckedBodies(plan.seed, size_bounds(plan.message_size), publishers)


def _named(body: bytes) -> tuple[int, int] | None:
    """Return the publisher and the value that a header names, right or wrong; None without one."""
    match = _NAMED.match(body)
    return (int(match[1]), int(match[2])) if match else None


def _first_difference(body: bytes, sent: bytes) -> int | None:
    """Return the first byte in which two bodies differ; None if one begins with the other."""
    length = min(len(body), len(sent))
    ours, theirs = (np.frombuffer(part, np.uint8, length) for part in (body, sent))
    places = np.flatnonzero(ours != theirs)
    return int(places[0]) if len(places) else None


def _excerpt(body: bytes) -> str:
    return repr(body[:EXCERPT_BYTES])
