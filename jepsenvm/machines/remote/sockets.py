"""Read this host's TCP sockets from the tables of /proc/net."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Socket(NamedTuple):
    """One TCP socket. Addresses are texts such as 10.0.0.1:5672 or [fd00::1]:5672."""

    near: str
    near_port: int
    far: str
    far_port: int
    state: str
    inode: str


def sockets() -> Iterator[Socket]:
    """Yield every TCP socket of this host."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):  # a host without IPv6 has no table of it
            yield from parsed(Path("/proc/net", table).read_text())


def parsed(table: str) -> Iterator[Socket]:
    """Yield each socket in a table of /proc/net."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        near, near_port = endpoint(fields[1])
        far, far_port = endpoint(fields[2])
        yield Socket(near, near_port, far, far_port, fields[3], fields[9])


def endpoint(text: str) -> tuple[str, int]:
    """Return an address with its port as text, and the port."""
    address, _, port = text.partition(":")
    return f"{readable(address)}:{int(port, 16)}", int(port, 16)


def readable(address: str) -> str:
    """Return an address of /proc/net, whose words have this machine's byte order, as text."""
    words = [struct.pack("=I", int(address[i : i + 8], 16)) for i in range(0, len(address), 8)]
    packed = b"".join(words)
    if len(packed) == 16 and packed.startswith(b"\0" * 10 + b"\xff\xff"):
        packed = packed[12:]
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed)
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]"
