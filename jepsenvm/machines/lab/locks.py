"""The locks of the labs' commands: one per lab, one per suite's base, and one for the list of labs.

A command takes them in this order. Each is a flock on a file in the cache folder, which outlives
every lab. The kernel releases the locks of a process that is killed.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from jepsenvm.machines.lab import topology
from jepsenvm.machines.lab.names import DEFAULT_NAME

logger = logging.getLogger(__name__)


@contextmanager
def one_at_a_time(lab: str = DEFAULT_NAME) -> Iterator[None]:
    """Hold the lock of one lab, by its name. Commands for other labs do not wait."""
    with _held(f"lab-{lab}", "another lab command"):
        yield


@contextmanager
def building(suite: str) -> Iterator[None]:
    """Hold the lock of a suite's base: nobody else builds or removes it."""
    with _held(f"base-{suite}", f"another command that uses the {suite} base"):
        yield


@contextmanager
def building_if_free(suite: str) -> Iterator[bool]:
    """Hold the lock of a suite's base, unless another process has it; yield whether it is held."""
    lock = _opened(f"base-{suite}")
    try:
        yield _taken(lock)
    finally:
        os.close(lock)


@contextmanager
def list_of_labs() -> Iterator[None]:
    """Hold the lock of the folders of all labs: nobody else adds one, or removes their parent."""
    with _held("labs", "another lab command"):
        yield


@contextmanager
def _held(name: str, other: str) -> Iterator[None]:
    lock = _opened(name)
    try:
        if not _taken(lock):
            logger.info(f"waiting for {other} to end ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _opened(name: str) -> int:
    # The bases have setuid programs of another system, which other users must not run.
    topology.CACHE.mkdir(parents=True, exist_ok=True, mode=0o700)
    topology.CACHE.chmod(0o700)
    folder = topology.CACHE / "locks"
    folder.mkdir(exist_ok=True, mode=0o700)
    return os.open(folder / name, os.O_RDONLY | os.O_CREAT, mode=0o600)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
