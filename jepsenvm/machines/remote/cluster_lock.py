"""Take, read or release this host's lock, and print who holds it.

The lock is a file. Every change of it happens under ``flock``, so that of two controllers that ask
at the same moment exactly one gets the lock. The kernel drops a ``flock`` with its process.

A lock is a lease: it counts until its owner has not renewed it for a time. The time is that of the
clock since the boot, which no clock fault moves. A reboot empties /run and so ends the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path("/run/jepsenvm.lock")
BUSY_S = 5.0
MOST_BYTES = 65536


def take(file: Path, order: dict[str, Any]) -> dict[str, Any]:
    """Take or renew the lock for ``owner``, unless another one holds it; return who holds it then.

    ``replace`` is the token of an owner that is known to be dead: its lock counts as free.
    """
    with _exclusively(file) as descriptor:
        held = _held(descriptor)
        mine = order["owner"]["token"]
        if held is not None and held["owner"]["token"] not in (mine, order.get("replace")):
            return _answer(held)
        entry = {"owner": order["owner"], "until": _now() + order["lease"]}
        # The first line counts, and it is written at once: a reader never finds half of it.
        text = (json.dumps(entry) + "\n").encode()
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))
        return _answer(entry)


def release(file: Path, order: dict[str, Any]) -> dict[str, Any]:
    """Remove the lock if the owner with this token holds it, or if nobody does."""
    with _exclusively(file) as descriptor:
        held = _held(descriptor)
        if held is None or held["owner"]["token"] == order["owner"]["token"]:
            file.unlink()
            held = None
        return _answer(held)


def read(file: Path, _order: dict[str, Any]) -> dict[str, Any]:
    """Return who holds the lock, and change nothing."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return _answer(None)
    try:
        return _answer(_held(descriptor))
    finally:
        os.close(descriptor)


def _answer(held: dict[str, Any] | None) -> dict[str, Any]:
    if held is None:
        return {"owner": None, "left": 0}
    return {"owner": held["owner"], "left": max(0.0, held["until"] - _now())}


def _held(descriptor: int) -> dict[str, Any] | None:
    """Return the entry of the lock; None if it is free, has expired or is not an entry."""
    line = os.pread(descriptor, MOST_BYTES, 0).partition(b"\n")[0]
    try:
        entry = json.loads(line)
        if entry["until"] > _now() and isinstance(entry["owner"]["token"], str):
            return dict(entry)
    except (ValueError, TypeError, KeyError):
        pass
    return None


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@contextlib.contextmanager
def _exclusively(file: Path) -> Iterator[int]:
    """Open the file of the lock, made if it is missing, as the only process that has it."""
    until = time.monotonic() + BUSY_S
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if _locked(descriptor, until) and _is_still(file, descriptor):
                yield descriptor
                return
        finally:
            os.close(descriptor)
        if time.monotonic() > until:
            sys.exit(f"error: another process keeps {file} busy")


def _locked(descriptor: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        else:
            return True


def _is_still(file: Path, descriptor: int) -> bool:
    """Return whether the file is still the opened file: a release removes it."""
    try:
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def main() -> None:
    """Follow the order on standard input, and print who holds the lock."""
    order = json.load(sys.stdin)
    acts = {"take": take, "release": release, "read": read}
    print(json.dumps(acts[order["act"]](FILE, order)))


if __name__ == "__main__":
    main()
