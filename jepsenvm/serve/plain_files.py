"""Files and folders of a store that are opened without following a symbolic link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

CHUNK: Final = 1 << 18
"""Bytes that are read at a time."""


def is_plain_name(name: str) -> bool:
    """Return whether a name is that of a file in a folder, and of no hidden one."""
    hidden_or_empty = not name or name.startswith(".")
    return not (hidden_or_empty or "/" in name or "\0" in name or _has_no_utf8(name))


def _has_no_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return True
    return False


def plain_folder(root: Path, *names: str) -> Path | None:
    """Return a folder below another one.

    None if there is no such folder, a name is not plain, or a folder on the way is a symbolic link.
    """
    folder = root
    for name in names:
        if not is_plain_name(name):
            return None
        folder /= name
        try:
            if not stat.S_ISDIR(folder.lstat().st_mode):
                return None
        except OSError:  # such as a name that is too long
            return None
    return folder


def plain_folders(folder: Path) -> list[str]:
    """Return the names of the plain folders in a folder; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(filter(is_plain_name, names))


def odd_files(folder: Path, depth: int | None = None) -> Iterator[Path]:
    """Yield what is neither a file nor a folder, such as a symbolic link or a pipe.

    Reading these may leave the store, or block. The paths are relative to the folder, and have at
    most ``depth`` parts if it is given. Folders that may not be read are skipped.
    """
    for path, folders, names in os.walk(folder, followlinks=False):
        deeper = depth is None or len(Path(path).relative_to(folder).parts) + 1 < depth
        for name in (*folders, *names):
            file = Path(path, name)
            try:
                mode = file.lstat().st_mode
            except OSError:  # removed meanwhile
                continue
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                yield file.relative_to(folder)
        if not deeper:
            folders.clear()


def open_plain(path: Path) -> BinaryIO | None:
    """Open a regular file for reading; return None if there is none, or it may not be read."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return None


def chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the first ``size`` bytes of a file piece by piece; fewer if it became shorter."""
    while size > 0 and (chunk := file.read(min(CHUNK, size))):
        size -= len(chunk)
        yield chunk


def size_of(file: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size
