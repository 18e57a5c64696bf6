"""Shuts a file system down with what was not synced, like a disk that loses its power."""

from __future__ import annotations

import fcntl
import struct

FS_IOC_SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125
"""``_IOR('X', 125, __u32)``."""

NOLOGFLUSH = struct.pack("I", 2)
"""``FS_SHUTDOWN_FLAGS_NOLOGFLUSH``: nothing more is written, not even the journal."""


def shut_down(descriptor: int) -> None:
    """Shut down the file system of an open file. The caller has checked the file."""
    fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, NOLOGFLUSH)
