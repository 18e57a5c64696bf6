"""Corrupt one file in which RabbitMQ keeps a queue on this host, while the service is stopped.

The argument is {"vhost", "queue", "way": "flip" or "truncate", "at-percent"} as JSON. When the
standard input ends, the program stops the service, keeps a copy of the file, flips one bit of it or
truncates it, reads it back, and starts the service without waiting for it. "at-percent" says where
in the used part of the file. The record of what was done stays in KEPT until the fault is healed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

SERVICE = "rabbitmq-server"
DATABASES = Path("/var/lib/rabbitmq/mnesia")
KEPT = Path("/var/lib/rabbitmq/jepsenvm-corrupted")
SAFE = re.compile(r"[A-Za-z0-9@_.=+/-]+")  # the characters of a path that a shell may be given
STOP_S = 45
PARTS = (".idx", ".jif", ".qi", ".qs", ".segment")  # of one queue; a stream's index can be rebuilt
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class CorruptionError(Exception):
    """No file can be corrupted here."""


def main() -> None:
    """Follow the order; report an error on standard error with exit status 1."""
    order = json.loads(sys.argv[1])
    try:
        require_healed()
        # The service still runs, and may remove a file that is being looked at.
        with contextlib.suppress(FileNotFoundError):
            chosen(order["vhost"], order["queue"])
        sys.stdin.read()
        # From here on the healing starts the service, even if this process is killed.
        KEPT.mkdir(mode=0o700)
        try:
            stop()
            print(json.dumps(corrupt(order)))
        except BaseException:
            put_back()
            shutil.rmtree(KEPT)
            raise
        finally:
            systemctl("start", "--no-block", SERVICE)
    except (CorruptionError, OSError, subprocess.SubprocessError) as problem:
        sys.exit(f"error: {problem}")


def require_healed() -> None:
    """Raise CorruptionError if an earlier corruption is on record."""
    if KEPT.exists():
        raise CorruptionError(f"an earlier corruption was not healed: {KEPT} exists")


def corrupt(order: dict[str, Any]) -> dict[str, Any]:
    """Corrupt a file of the queue; return the record, which the host keeps as well."""
    path = chosen(order["vhost"], order["queue"])
    offset = position(path, order["at-percent"])
    original = KEPT / "original"
    shutil.copyfile(path, original)
    # If this process is killed before the digest is written, the healing puts the original back.
    (KEPT / "path").write_text(str(path))
    change(path, offset, order["way"])
    record = {
        "path": str(path),
        "offset": offset,
        "size-before": original.stat().st_size,
        "size-after": path.stat().st_size,
        "byte-before": byte_at(original, offset),
        "byte-after": byte_at(path, offset),
        "sha256-before": digest(original),
        "sha256-after": digest(path),
    }
    (KEPT / "corrupted.sha256").write_text(f"{record['sha256-after']}  {path}\n")
    (KEPT / "record.json").write_text(json.dumps(record))
    return record


def put_back() -> None:
    """Put the original back over a file that may have changed. The service has not read it."""
    if (KEPT / "path").exists():
        shutil.copyfile(KEPT / "original", (KEPT / "path").read_text())


def change(path: Path, offset: int, way: str) -> None:
    """Flip the lowest bit of the byte at an offset, or truncate the file there."""
    with path.open("r+b") as file:
        if way == "truncate":
            file.truncate(offset)
            return
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def chosen(vhost: str, queue: str) -> Path:
    """Return the file of the queue with most data.

    Files that queues share count only if the queue has no file of its own with data.
    """
    for files in (own_files(vhost, queue), shared_files(vhost, queue)):
        sized = [(used(path), path) for path in files if allowed(path)]
        size, path = max(sized, default=(0, Path()))
        if size > 1:
            return path
    raise CorruptionError(f"no file here holds messages of the queue {queue}")


def allowed(path: Path) -> bool:
    """Return whether a path is a regular file below the database, with a harmless name."""
    below = DATABASES.resolve() in path.resolve().parents
    return below and path.is_file() and not path.is_symlink() and bool(SAFE.fullmatch(str(path)))


def own_files(vhost: str, queue: str) -> Iterator[Path]:
    """Yield the files of only this queue: index and store of a classic queue, or segments."""
    folders = [
        *DATABASES.glob(f"*/msg_stores/vhosts/*/queues/{folder_name(vhost, queue)}"),
        *replicas(vhost, queue),
        *streams(vhost, queue),
    ]
    for folder in folders:
        yield from (path for path in folder.iterdir() if path.suffix in PARTS)


def shared_files(vhost: str, queue: str) -> Iterator[Path]:
    """Yield the files that hold messages of several queues: write-ahead logs and message stores."""
    for folder in replicas(vhost, queue):
        # A log names each replica that it has entries of.
        yield from containing(folder.name.encode(), folder.parent.glob("*.wal"))
    for folder in DATABASES.glob(f"*/msg_stores/vhosts/*/queues/{folder_name(vhost, queue)}"):
        yield from folder.parents[1].glob("msg_store_persistent/*.rdq")


def folder_name(vhost: str, queue: str) -> str:
    """Return the name of a classic queue's folder: a digest, in digits to the base of 36."""
    text = b"queue" + vhost.encode() + queue.encode()
    number = int.from_bytes(hashlib.md5(text).digest(), "big")  # noqa: S324 - RabbitMQ's choice
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits or "0"


def replicas(vhost: str, queue: str) -> Iterator[Path]:
    """Yield the folder of a quorum queue's replica. Its configuration names the queue."""
    name = f"'{'%2F' if vhost == '/' else vhost}_{queue}'"
    for config in DATABASES.glob("*/quorum/*/*/config"):
        if name.encode() in config.read_bytes():
            yield config.parent


def streams(vhost: str, queue: str) -> Iterator[Path]:
    """Yield the folder of a stream's replica.

    It has the name of the stream and the time of its birth. RabbitMQ replaces punctuation in it.
    """
    name = re.compile(plain(vhost + queue) + r"\d{19}")
    for folder in DATABASES.glob("*/stream/*"):
        if folder.is_dir() and name.fullmatch(plain(folder.name)):
            yield folder


def plain(text: str) -> str:
    """Return the letters and digits of a text."""
    return re.sub(r"[^A-Za-z0-9]", "", text)


def containing(text: bytes, paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files that contain a text."""
    for path in paths:
        if path.stat().st_size:
            with path.open("rb") as file, mapped(file) as content:
                if content.find(text) >= 0:
                    yield path


def used(path: Path) -> int:
    """Return the length of a file without zeros at its end, which are space for later."""
    if not path.stat().st_size:
        return 0
    with path.open("rb") as file, mapped(file) as content:
        end = len(content)
        while end:
            begin = max(0, end - mmap.PAGESIZE)
            part = content[begin:end].rstrip(b"\0")
            if part:
                return begin + len(part)
            end = begin
    return 0


def position(path: Path, percent: float) -> int:
    """Return the first offset with data from a share of the used part on. It is never 0."""
    end = used(path)
    with path.open("rb") as file, mapped(file) as content:
        start = max(1, min(int(end * percent / 100), end - 1))
        match = re.compile(rb"[^\0]").search(content, start)
        return match.start() if match else start


def mapped(file: Any) -> mmap.mmap:
    """Return the content of a file that is not empty, without reading all of it."""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def byte_at(path: Path, offset: int) -> int | None:
    """Return one byte of a file; None beyond its end."""
    with path.open("rb") as file:
        file.seek(offset)
        return next(iter(file.read(1)), None)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            total.update(part)
    return total.hexdigest()


def stop() -> None:
    """Stop the service: cleanly if that takes no longer than STOP_S, otherwise with SIGKILL."""
    try:
        clean = systemctl("stop", SERVICE, timeout=STOP_S) == 0
    except subprocess.TimeoutExpired:
        clean = False
    if not clean:
        systemctl("kill", "--signal=SIGKILL", SERVICE)
        systemctl("stop", SERVICE)
    systemctl("reset-failed", SERVICE)


def systemctl(*words: str, timeout: float = 20) -> int:
    """Return the exit status of a command of systemctl."""
    done = subprocess.run(
        ["systemctl", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return done.returncode


if __name__ == "__main__":
    main()
