"""Filters for the fingerprints of OpenPGP keys (RFC 9580).

Hosts need no gpg for them. A file that is not fully understood has no fingerprint, and is refused.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator

_BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_BLOCK = re.compile(
    r"-----BEGIN PGP PUBLIC KEY BLOCK-----[ \t]*\r?\n"
    r"(?:[A-Za-z]+: [^\n]*\n)*[ \t]*\r?\n"
    r"(?P<data>[A-Za-z0-9+/=\s]+?)(?:\r?\n=[A-Za-z0-9+/]{4})?\s*"
    r"-----END PGP PUBLIC KEY BLOCK-----"
)
_PUBLIC_KEY = 6


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filters by name."""
        return {
            "rabbitmq_fingerprints": fingerprints,
            "rabbitmq_normal_fingerprints": normal_fingerprints,
        }


def fingerprints(content: str) -> list[str]:
    """Return the fingerprints of the primary keys in a base64-encoded file.

    Return an empty list for a file that is not a list of public keys, with or without armor.
    """
    try:
        file = base64.b64decode(content)
        return sorted({_fingerprint(body) for body in _keys(file)})
    except (ValueError, IndexError):
        return []


def normal_fingerprints(fingerprint: str | Iterable[str]) -> list[str]:
    """Return fingerprints in capitals and without blanks; ``gpg`` prints them in groups."""
    texts = [fingerprint] if isinstance(fingerprint, str) else list(fingerprint)
    return sorted({re.sub(r"\s", "", str(text)).upper() for text in texts} - {""})


def _keys(file: bytes) -> Iterator[bytes]:
    """Yield the bodies of the public-key packets. A subkey belongs to the key before it."""
    for data in _unarmored(file):
        for tag, body in _packets(data):
            if tag == _PUBLIC_KEY:
                yield body


def _unarmored(file: bytes) -> list[bytes]:
    if _BEGIN.encode() not in file:
        return [file]
    text = file.decode("ascii")
    blocks = [base64.b64decode(found["data"], validate=False) for found in _BLOCK.finditer(text)]
    if len(blocks) != text.count(_BEGIN):
        raise ValueError("an armor is damaged")
    return blocks


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        tag, start, size = _header(data, position)
        if start + size > len(data):
            raise ValueError("a packet is cut short")
        yield tag, data[start : start + size]
        position = start + size


def _header(data: bytes, position: int) -> tuple[int, int, int]:
    """Return the tag of the packet at a position, where its body starts, and the body's size."""
    first = data[position]
    if not first & 0x80:
        raise ValueError("not a packet")
    if first & 0x40:
        return first & 0x3F, *_new_length(data, position + 1)
    width = first & 3
    if width == 3:
        raise ValueError("a packet of unknown length")
    start = position + 1 + (1 << width)
    if start > len(data):
        raise ValueError("a packet is cut short")
    return (first >> 2) & 0xF, start, int.from_bytes(data[position + 1 : start], "big")


def _new_length(data: bytes, position: int) -> tuple[int, int]:
    first = data[position]
    if first < 192:
        return position + 1, first
    if first < 224:
        return position + 2, ((first - 192) << 8) + data[position + 1] + 192
    if first == 255:
        return position + 5, int.from_bytes(data[position + 1 : position + 5], "big")
    raise ValueError("a packet in parts")


def _fingerprint(body: bytes) -> str:
    if body[0] == 4:
        # RFC 9580 defines version 4 fingerprints with SHA-1.
        hashed = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False)
        return hashed.hexdigest().upper()
    if body[0] == 6:
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body).hexdigest().upper()
    raise ValueError("a key of an unknown version")
